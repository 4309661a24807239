"""Uptake of PET in SUV: maximum, mean, metabolic volume, glycolysis.

A file holds one definition, under its id.
Not here: the conversion to SUV (``biomarkers.uptake``).
"""
