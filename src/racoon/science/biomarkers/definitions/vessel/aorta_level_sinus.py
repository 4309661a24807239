"""Aortic diameter: sinuses of Valsalva."""

from racoon.science.biomarkers.aorta import at_sinus, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_sinus",
    version="1",
    title_de="Aortendurchmesser: Sinus Valsalvae",
    title_en="Aortic diameter: sinuses of Valsalva",
    unit="mm",
    formula=(
        "2√(A/π) of the section perpendicular to the centreline at the widest place of the lowest 20 mm "
        "that the mask shows whole"
    ),
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(at_sinus),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    quality=(whole_structure,),
)
