"""Pooled studies: an approved, reviewed dataset goes to the pool closed for its key; what arrives there is verified.

One room for both ends, because every node can be a pool: ``sending`` at a site, ``receiving`` at the pool.
Not here: whether anything may leave (``release``, ``approvals``), how bytes travel (``link``), who is who (``deid``).
"""
