"""The only gate for what leaves: disclosure rules, the site's policy, a ledger of every release, audit.

A context hands in an unprotected aggregate; the rules of ``model`` protect it or hold parts back with a reason that may
be told; only then it goes to ``link``.  The site's own policy always wins over what a study would like.
Not here: arithmetic (``science``) and whether the job was allowed at all (``approvals``).
"""
