"""Aorta: largest diameter."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.structures import AORTA
from racoon.science.biomarkers.vessels import largest_anywhere

DEFINITION = Definition(
    id="aorta_max_diameter",
    version="1",
    title_de="Aorta: größter Durchmesser",
    title_en="Aorta: largest diameter",
    unit="mm",
    formula="largest 2√(A/π) of the sections perpendicular to the smoothed, recentred centreline",
    source="Isselbacher 2022 (ACC/AHA), doi:10.1161/CIR.0000000000001106",
    compute_formula=largest_anywhere,
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=AORTA,
    quality=(whole_structure,),
    ranges="surgery from 55 mm (ESC 2014)",
)
