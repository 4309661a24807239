"""DICOM objects read and written: file format (PS3.5, PS3.10), identifiers, pixels, geometry, segmentations.

Strict when it writes, tolerant when it reads, and it says what it tolerated.
It is not a network peer (``node.intake`` listens) and stores nothing (``node.archive`` does).
Geometry is LPS in millimetres, arrays are (slice, row, column); CENTRAL never reaches this folder.
Floor plan: part of ``standards``.
"""
