"""Flat fact tables that other rooms fill, and the only place that compiles cohort definitions to SQL.

Answers are sets of series or plain counts for this node's own use; whatever leaves goes through ``release``, which
protects it.  The definition language and its canonical form live in ``domain.cohort``.
Not here: images (``archive``) and who a subject is (``pseudonyms``).
"""
