"""Left ventricular ejection fraction."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import ejected_share

DEFINITION = Definition(
    id="lv_ejection_fraction",
    version="1",
    title_de="Linksventrikuläre Ejektionsfraktion",
    title_en="Left ventricular ejection fraction",
    unit="%",
    formula="100 × (EDV − ESV) / EDV",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=ejected_share("lv_end_systole"),
    method="volumetric",
    applies_to=("lv_end_diastole",),
    needs=("lv_end_systole",),
    quality=(whole_structure,),
)
