"""The only outgoing line of the hospital: posts what release let through, polls CENTRAL, verifies, hands over.

The node dials out on one HTTPS port with its own certificate; a forward proxy is honoured.
What is posted waits in an outbox until CENTRAL has stored it; what arrives is verified and processed exactly once.
Not here: whether something may leave (``release``) and whether a job may run (``approvals``).
"""
