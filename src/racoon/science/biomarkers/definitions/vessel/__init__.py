"""Aorta and pulmonary trunk: diameters perpendicular to the centreline, ratio, dilation.

A file holds one definition, under its id.
Not here: their calcium (``calcium``).
"""
