"""Subcutaneous fat: volume."""

from racoon.science.biomarkers.body import interval_volume
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="sat_volume",
    version="1",
    title_de="Subkutanes Fett: Volumen",
    title_en="Subcutaneous fat: volume",
    unit="mL",
    formula="voxels with lower_hu <= HU <= upper_hu × voxel volume",
    source="Hofmann 2025, doi:10.1038/s41598-025-96238-6",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": -190, "upper_hu": -30},
    applies_to=("subcutaneous_fat",),
    quality=(whole_structure,),
)
