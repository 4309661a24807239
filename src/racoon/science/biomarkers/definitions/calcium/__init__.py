"""Calcium of coronary arteries and aorta: Agatston, volume, mass, category, ordinal scores.

A file holds one definition, under its id.
Not here: diameters of the same vessels (``vessel``).
"""
