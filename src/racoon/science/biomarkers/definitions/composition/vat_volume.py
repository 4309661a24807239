"""Visceral fat: volume."""

from racoon.science.biomarkers.body import interval_volume
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="vat_volume",
    version="1",
    title_de="Viszerales Fett: Volumen",
    title_en="Visceral fat: volume",
    unit="mL",
    formula="voxels with lower_hu <= HU <= upper_hu × voxel volume",
    source="Mourtzakis 2008, doi:10.1139/H08-075",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": -150, "upper_hu": -50},
    applies_to=("visceral_cavity",),
    quality=(whole_structure,),
)
