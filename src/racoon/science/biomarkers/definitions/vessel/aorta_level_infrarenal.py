"""Aortic diameter: infrarenal."""

from racoon.science.biomarkers.aorta import below_kidneys, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="aorta_level_infrarenal",
    version="1",
    title_de="Aortendurchmesser: infrarenal",
    title_en="Aortic diameter: infrarenal",
    unit="mm",
    formula=(
        "2√(A/π) of the section perpendicular to the centreline at the widest place below the middle of "
        "both kidneys"
    ),
    source="Hiratzka 2010 (ACC/AHA), doi:10.1161/CIR.0b013e3181d4739e",
    compute_formula=diameter_at(below_kidneys),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    needs=("kidney_left", "kidney_right"),
    quality=(whole_structure,),
    ranges="aneurysm from 30 mm (Wanhainen 2019, ESVS)",
)
