"""Runs an analysis plan over this site's rows: a round of an approved plan as a job, or a rehearsal over tables.

The rehearsal is the federated analysis on one machine: same plan, questions, estimators and rules of release.
Not here: estimators (``science``), the rules (``node.release``), and who may run a plan (``node.approvals``).
"""
