"""The clinical course as hospital systems send it: HL7 v2 over MLLP, kept sealed, worked off in order per patient.

The listener stores a message before it answers and does not know who is who; the worker turns messages into FHIR
resources, which take the same way in as FHIR files: de-identification, shift of dates and consent stay in one place.
Not here: bytes and fields of HL7 (``standards.hl7v2``), FHIR files (``clinical.importing``), images.
Floor plan: part of ``node.clinical``; its inbox is a file of its own, because messages name patients.
"""
