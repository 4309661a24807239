"""Aortic diameter: proximal arch."""

from racoon.science.biomarkers.aorta import around_top, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_proximal_arch",
    version="1",
    title_de="Aortendurchmesser: proximaler Bogen",
    title_en="Aortic diameter: proximal arch",
    unit="mm",
    formula="2√(A/π) of the section perpendicular to the centreline 20 mm before the top of the arch",
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(around_top(-20.0)),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    quality=(whole_structure,),
)
