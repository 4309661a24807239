"""Analyses across sites: an approved plan, asked in rounds, replayed from the sites' answers, kept with its provenance.

A round is one run of jobs; its results are the only state, so a restart at any moment goes on and no site is asked
twice.
Not here: the estimators (``science``), single jobs (``orchestration``), and what a site lets out (its release gate).
"""
