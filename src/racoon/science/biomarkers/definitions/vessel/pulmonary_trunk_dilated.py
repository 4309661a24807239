"""Pulmonary trunk dilated."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.vessels import trunk_dilated

DEFINITION = Definition(
    id="pulmonary_trunk_dilated",
    version="1",
    title_de="Truncus pulmonalis erweitert",
    title_en="Pulmonary trunk dilated",
    unit="1",
    formula=(
        "1 when the largest perpendicular diameter is above 29 mm in men, 27 mm in women, or limit_mm, else 0"
    ),
    source="Truong 2012 (Framingham), doi:10.1161/CIRCIMAGING.111.968610",
    compute_formula=trunk_dilated,
    validity=CT,
    defaults={"reach_mm": 60.0, "limit_mm": 0.0, "sex": ""},
    method="length",
    applies_to=("pulmonary_trunk",),
    quality=(whole_structure,),
)
