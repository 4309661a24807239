"""New sites on their way into the network: a checklist, a mentor, and the result of the node's own readiness test.

What can be seen from here is never ticked by hand; what only people know is, with who and when.  Not here: enrolment
itself (``sites``) and what the test does (the node).
"""
