"""Datasets: named lists of series, frozen with a hash that never changes.

A frozen dataset's manifest stays at the site; CENTRAL sees counts and the hash.
Not here: which series match a question (``cohorts``) and the images themselves (``archive``).
Tags, quality rules and the gallery join this room when curation deepens.
"""
