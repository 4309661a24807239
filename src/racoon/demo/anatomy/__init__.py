"""An analytic chest and torso anatomy that looks like computed tomography.

For the demonstration's synthetic patients: shapes in closed form, warped, painted and scanned, from one seed.
It is not a physical simulation and no source of clinical evidence; every image made from it says so.
It knows nothing of DICOM, files or hospitals: numbers in, arrays and exact truth out.  It stands inside
``demo``. Arrays are (slice, row, column); world is LPS in mm (x to the patient's left, y to the back, z to
the head).
"""
