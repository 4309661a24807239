"""Aortic diameter: mid arch."""

from racoon.science.biomarkers.aorta import around_top, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_mid_arch",
    version="1",
    title_de="Aortendurchmesser: Mitte des Bogens",
    title_en="Aortic diameter: mid arch",
    unit="mm",
    formula="2√(A/π) of the section perpendicular to the centreline at the top of the arch",
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(around_top(0.0)),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    quality=(whole_structure,),
)
