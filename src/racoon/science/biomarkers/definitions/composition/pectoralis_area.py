"""Pectoralis muscle area (T4)."""

from racoon.science.biomarkers.body import area_at_level
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="pectoralis_area",
    version="1",
    title_de="Pektoralisfläche (T4)",
    title_en="Pectoralis muscle area (T4)",
    unit="cm2",
    formula=(
        "pixels with lower_hu <= HU <= upper_hu in the slice through the middle of the vertebra × pixel area"
    ),
    source="Moon 2022, doi:10.1002/jcsm.12946",
    compute_formula=area_at_level,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150, "level": "T4"},
    applies_to=("pectoralis_muscle",),
    quality=(enough_voxels,),
)
