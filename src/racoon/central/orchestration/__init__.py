"""Messages and work across sites: mailboxes with signed envelopes, runs, and one job per site.

An offered job is a request; the site decides and says so.  A run ends when every site has answered or its
time is over.  Everything is written in transactions, so a restart at any moment loses nothing and counts
nothing twice.
Not here: why a run is started (``cohorts``, ``analyses``) and what its results mean (``results``).
"""
