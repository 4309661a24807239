"""Runs the biomarkers over frozen datasets and stores every value with where it came from.

One pass per series: image and masks are loaded once, all values of the plan computed and stored in one
transaction; a restart computes only what is missing.  Formulas are in ``science``, images in ``archive``.
Not here: what may leave the site (``release``) and drawing masks (``reading``).
Public names: ``service.run_protocol``, ``service.aggregates``; words in ``model``.  A room of ``node``.
"""
