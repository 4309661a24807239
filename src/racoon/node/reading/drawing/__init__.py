"""Masks that a reader draws: one drawing per reader and series, saved stroke by stroke, finished as DICOM SEG.

A drawing is a draft of this room; what is finished lies in the archive, with what it was made from.
Growing, filling and smoothing are ``science.segmentation``; the browser only paints.
Floor plan: a part of ``node.reading``; asks ``archive.service``.
"""
