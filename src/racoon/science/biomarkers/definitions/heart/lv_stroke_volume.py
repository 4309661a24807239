"""Stroke volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import left_stroke

DEFINITION = Definition(
    id="lv_stroke_volume",
    version="1",
    title_de="Schlagvolumen",
    title_en="Stroke volume",
    unit="mL",
    formula="EDV − ESV",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=left_stroke,
    method="volumetric",
    applies_to=("lv_end_diastole",),
    needs=("lv_end_systole",),
    quality=(whole_structure,),
)
