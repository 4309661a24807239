"""Subcutaneous fat area."""

from racoon.science.biomarkers.body import area_at_level
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="sat_area",
    version="1",
    title_de="Subkutane Fettfläche",
    title_en="Subcutaneous fat area",
    unit="cm2",
    formula=(
        "pixels with lower_hu <= HU <= upper_hu in the slice through the middle of the vertebra × pixel area"
    ),
    source="Hofmann 2025, doi:10.1038/s41598-025-96238-6",
    compute_formula=area_at_level,
    validity=CT,
    defaults={"lower_hu": -190, "upper_hu": -30, "level": "L3"},
    applies_to=("subcutaneous_fat",),
    quality=(enough_voxels,),
)
