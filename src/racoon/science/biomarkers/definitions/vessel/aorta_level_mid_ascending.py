"""Aortic diameter: mid ascending aorta."""

from racoon.science.biomarkers.aorta import ascending_part, at_bifurcation, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_mid_ascending",
    version="1",
    title_de="Aortendurchmesser: Mitte der Aorta ascendens",
    title_en="Aortic diameter: mid ascending aorta",
    unit="mm",
    formula=(
        "2√(A/π) of the section perpendicular to the centreline at the height of the pulmonary trunk's "
        "middle, else half-way up"
    ),
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(at_bifurcation(ascending_part)),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    uses=("pulmonary_trunk",),
    quality=(whole_structure,),
    ranges="dilated above 40 mm (ESC 2014)",
)
