"""Clinic and images meet: the archive and its values as FHIR, and the clinical course from the clinic's own systems.

Out: a FHIR facade over the archive, the measured values and the studies; nothing is stored twice.  In: NDJSON and
Bundle folders become flat tables under the archive's pseudonyms.
Not here: images (``archive``), who a subject is (``pseudonyms``), and anything that leaves the hospital (``release``).
"""
