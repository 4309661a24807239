"""Aortic diameter: sinotubular junction."""

from racoon.science.biomarkers.aorta import at_junction, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_sinotubular_junction",
    version="1",
    title_de="Aortendurchmesser: sinotubulärer Übergang",
    title_en="Aortic diameter: sinotubular junction",
    unit="mm",
    formula=(
        "2√(A/π) of the section perpendicular to the centreline at the narrowest place within 25 mm "
        "behind the sinuses"
    ),
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(at_junction),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    quality=(whole_structure,),
)
