"""Comparing readings: how two people, or a person and a reference, agree question by question and mask by mask.

Pure: answers and voxels in, numbers with limits out, by the same functions as everywhere (``science.statistics``).
``agreement`` asks for the readers of a list, ``practice`` for a person against a reference.  Not here: what was signed
by whom, and who may see it.
"""
