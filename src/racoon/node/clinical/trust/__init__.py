"""Trust services of the hospital behind three ports: who consented, which pseudonym, which numbers are one person.

Each port has an embedded answer, which is the default, and adapters to the services that German hospitals run.  A
service that does not answer agrees to nothing.
Not here: what a consent permits (``domain.consent``), and the node's own keys (``pseudonyms``).
"""
