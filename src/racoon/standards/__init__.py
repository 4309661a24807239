"""The standards of our field, spoken fluently: DICOM, DICOMweb, SEG, SR, FHIR, codes.

Each folder is one standard; it reads and writes documents of that standard and cites its clauses.
It opens no connection, keeps no database and knows no study.
``standards.codes`` and ``standards.fhir`` stay free of ``standards.dicom``: CENTRAL uses them.
Floor plan: beside ``platform`` and ``protocol``, above ``science``.
"""
