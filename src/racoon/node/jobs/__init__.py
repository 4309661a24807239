"""What CENTRAL asked of this site, and what became of it: the record and the life of each job.

A job is verified against the site's own approvals when it arrives and again when it starts; both answers are audited.
Rooms that do the work (measuring, cohorts, curation, compute) register a handler in ``app``.
Not here: the queue itself (``platform.jobs``) and what may leave afterwards (``release``).
"""
