"""Aortic diameter: diaphragm."""

from racoon.science.biomarkers.aorta import at_vertebra, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_diaphragm",
    version="1",
    title_de="Aortendurchmesser: Zwerchfell",
    title_en="Aortic diameter: diaphragm",
    unit="mm",
    formula=(
        "2√(A/π) of the section perpendicular to the centreline at the middle of the twelfth thoracic "
        "vertebra"
    ),
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(at_vertebra("vertebra_t12")),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    needs=("vertebra_t12",),
    quality=(whole_structure,),
)
