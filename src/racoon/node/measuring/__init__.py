"""Runs the biomarkers over frozen datasets and stores every value with where it came from.

One pass per series, in as many processes as the site gives: image and masks are loaded once, all values of the plan
computed and stored in one transaction; a restart computes only what is missing.  Rules then name what a person should
look at.  Formulas are in ``science``, images in ``archive``; not here: what may leave the site (``release``).
Public names: ``service``; words in ``model`` and ``checks``.  A room of ``node``.
"""
