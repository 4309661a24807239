"""Reading against a reference: calibration before a study's cases, and teaching with the reference shown afterwards.

A reference set is cases whose signed readings by one person are the reference.  A reader's attempt has answers and
masks of its own, scored, kept, and never part of study data: they are written under the name of the attempt, and
neither signed nor stored in the archive.  Not here: study lists (``work``), whose routes ask whether somebody passed.
"""
