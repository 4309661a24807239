"""Ratio of visceral to subcutaneous fat."""

from racoon.science.biomarkers.body import fat_ratio
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="vat_sat_ratio",
    version="1",
    title_de="Verhältnis viszerales zu subkutanem Fett",
    title_en="Ratio of visceral to subcutaneous fat",
    unit="1",
    formula="vat_area / sat_area",
    source="Mourtzakis 2008, doi:10.1139/H08-075",
    compute_formula=fat_ratio,
    validity=CT,
    defaults={"lower_hu": -150, "upper_hu": -50, "sat_lower_hu": -190, "sat_upper_hu": -30, "level": "L3"},
    applies_to=("visceral_cavity",),
    needs=("subcutaneous_fat",),
    quality=(enough_voxels,),
)
