"""Right ventricular stroke volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import right_stroke

DEFINITION = Definition(
    id="rv_stroke_volume",
    version="1",
    title_de="Schlagvolumen des rechten Ventrikels",
    title_en="Right ventricular stroke volume",
    unit="mL",
    formula="EDV − ESV",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=right_stroke,
    method="volumetric",
    applies_to=("rv_end_diastole",),
    needs=("rv_end_systole",),
    quality=(whole_structure,),
)
