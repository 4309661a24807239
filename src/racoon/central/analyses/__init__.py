"""Analyses of a study: freezing, measuring, and the comparison of local, pooled and federated training.

A comparison is a small state machine that a worker drives from the database, so a restart at any moment goes
on.
Not here: single jobs (``orchestration``), the training engine (``central.learning``) and what comes out
(``results``).
"""
