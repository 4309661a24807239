"""Total severity score TSS (0–20)."""

from racoon.science.biomarkers.aeration import total_severity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.structures import LOBES

DEFINITION = Definition(
    id="total_severity_score",
    version="1",
    title_de="Gesamtschweregrad TSS (0–20)",
    title_en="Total severity score TSS (0–20)",
    unit="{score}",
    formula="sum over five lobes: 0 %: 0; ≤25: 1; ≤50: 2; ≤75: 3; >75: 4",
    source="Li 2020, doi:10.1007/s00330-020-06817-6",
    compute_formula=total_severity,
    validity=CT,
    method="volumetric",
    applies_to=("lung_opacity",),
    needs=LOBES,
    quality=(whole_structure,),
)
