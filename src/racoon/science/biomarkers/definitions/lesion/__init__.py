"""Lesions and nodules: axes, diameters, number, growth.

A file holds one definition, under its id.
Not here: lesions of the brain (``brain``) and metabolic volumes (``uptake``).
"""
