"""Descending aorta: largest diameter."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.vessels import largest_in_limb

DEFINITION = Definition(
    id="aorta_descending_diameter",
    version="1",
    title_de="Aorta descendens: größter Durchmesser",
    title_en="Descending aorta: largest diameter",
    unit="mm",
    formula="largest 2√(A/π) of the sections perpendicular to the smoothed, recentred centreline",
    source="Isselbacher 2022 (ACC/AHA), doi:10.1161/CIR.0000000000001106",
    compute_formula=largest_in_limb("descending"),
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("aorta",),
    quality=(whole_structure,),
    ranges="aneurysm of the abdominal aorta from 30 mm (Wanhainen 2019, ESVS)",
)
