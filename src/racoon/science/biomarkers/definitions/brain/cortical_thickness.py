"""Cortical thickness."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import cortical_thickness

DEFINITION = Definition(
    id="cortical_thickness",
    version="1",
    title_de="Kortikale Dicke",
    title_en="Cortical thickness",
    unit="mm",
    formula="mean of the closest-point distances white → pial and pial → white surface, cut at largest_mm",
    source="Fischl 2000, doi:10.1073/pnas.200033797",
    compute_formula=cortical_thickness,
    validity=Validity(frozenset({"MR"})),
    defaults={"largest_mm": 5.0},
    method="length",
    applies_to=("cortex",),
    needs=("white_matter",),
    quality=(whole_structure,),
)
