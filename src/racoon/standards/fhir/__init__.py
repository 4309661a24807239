"""FHIR R4 spoken fluently: resources of the medical informatics initiative's core data set, built and checked.

Plain dictionaries in and out: small builders for what we write, one rule table per profile for what we check,
and a reader that mends known deviations and says so.  Strict when we write, tolerant when we read.
Not here: who a subject is, which row a value comes from, and HTTP; those are rooms of ``node``.
Floor plan: part of ``standards``; uses nothing but ``domain`` and ``errors``.
"""
