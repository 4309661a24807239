"""Deciding between two readings: what a third reader sees of both, and the signed record of the decision.

The decision is the third reader's own report; for each question the record says whose answer it is, and it names
all three with the hashes of what they signed.  Not here: who reads what (``work``) and the report (``reports``).
Floor plan: a part of ``node.reading``; asks ``work``, ``reports``, ``drawing`` and ``science.geometry``.
"""
