"""Arrays in, numbers out: geometry, biomarkers and statistics that can be checked by hand.

Pure: no files, no database, no network, no DICOM; ``node.archive`` loads and ``node.measuring`` stores.
Axis order is (slice, row, column), world coordinates are LPS in mm, units stand in the names.
It stands above ``domain`` in the floor plan; everything that computes may import it.
Training of networks is not here but in ``learning``.
"""
