"""Carries closed letters and parcels between a study's sites and its pool; nothing in them can be read here.

CENTRAL checks who writes to whom about which study, keeps the closed bytes until the recipient has them, and counts.
Not here: whether anything may leave a site (the site's own gate) and what a letter says (``protocol.letters``).
"""
