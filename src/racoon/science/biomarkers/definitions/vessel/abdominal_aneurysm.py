"""Abdominal aortic aneurysm."""

from racoon.science.biomarkers.aorta import below_kidneys, diameter_at
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.vessels import dilation

DEFINITION = Definition(
    id="abdominal_aneurysm",
    version="1",
    title_de="Aneurysma der Bauchaorta",
    title_en="Abdominal aortic aneurysm",
    unit="1",
    formula="1 when the infrarenal diameter is above limit_mm, else 0",
    source="Wanhainen 2019 (ESVS), doi:10.1016/j.ejvs.2018.09.020",
    compute_formula=dilation(diameter_at(below_kidneys)),
    validity=CT,
    defaults={"reach_mm": 60.0, "limit_mm": 30.0},
    method="length",
    applies_to=("aorta",),
    needs=("kidney_left", "kidney_right"),
    quality=(whole_structure,),
)
