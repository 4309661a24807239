"""A demonstration country: synthetic or real images, invented hospitals and patients, and the study they run.

It starts the same commands a hospital would start and speaks to them over DICOM and HTTP only.  It is no test double:
nothing below ``demo`` knows of it, and it imports neither ``node`` nor ``central``.  It stands above ``client`` and
below ``cli``.  Public names: ``country.write_country``, ``country.load_country``, ``pacs`` (run as a module).
"""
