"""The network's sites: who belongs to it, with which certificate and which signing key.

A site joins with a one-time join code and keys it made itself; CENTRAL's authority signs its certificate.
Suspending a site refuses all its requests from the next one on.
Not here: what a site is asked to do (``orchestration``) and how its node is (``monitoring``).
"""
