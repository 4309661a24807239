"""Ascending aorta dilated."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.vessels import dilation, largest_in_limb

DEFINITION = Definition(
    id="aorta_ascending_dilated",
    version="1",
    title_de="Aorta ascendens erweitert",
    title_en="Ascending aorta dilated",
    unit="1",
    formula="1 when the largest perpendicular diameter is above limit_mm, else 0",
    source="Erbel 2014 (ESC), doi:10.1093/eurheartj/ehu281",
    compute_formula=dilation(largest_in_limb("ascending")),
    validity=CT,
    defaults={"reach_mm": 60.0, "limit_mm": 40.0},
    method="length",
    applies_to=("aorta",),
    quality=(whole_structure,),
)
