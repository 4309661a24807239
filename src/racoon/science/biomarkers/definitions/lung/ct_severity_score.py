"""CT severity score (0–25)."""

from racoon.science.biomarkers.aeration import severity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.structures import LOBES

DEFINITION = Definition(
    id="ct_severity_score",
    version="1",
    title_de="CT-Schweregrad (0–25)",
    title_en="CT severity score (0–25)",
    unit="{score}",
    formula="sum over five lobes: 0 %: 0; <5: 1; 5–25: 2; >25–<50: 3; 50–75: 4; >75: 5",
    source="Pan 2020, doi:10.1148/radiol.2020200370; borders closed as the rule says",
    compute_formula=severity,
    validity=CT,
    method="volumetric",
    applies_to=("lung_opacity",),
    needs=LOBES,
    quality=(whole_structure,),
)
