"""Pectoralis muscle area (T4)."""

from racoon.science.biomarkers.body import area_at_level
from racoon.science.biomarkers.definition import Definition
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
    source="Derstine 2018, doi:10.1038/s41598-018-29825-5",
    compute_formula=area_at_level,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150, "level": "T4"},
    applies_to=("pectoralis_muscle",),
)
