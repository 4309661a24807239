"""Right ventricular ejection fraction."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import ejected_share

DEFINITION = Definition(
    id="rv_ejection_fraction",
    version="1",
    title_de="Rechtsventrikuläre Ejektionsfraktion",
    title_en="Right ventricular ejection fraction",
    unit="%",
    formula="100 × (EDV − ESV) / EDV",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=ejected_share("rv_end_systole"),
    method="volumetric",
    applies_to=("rv_end_diastole",),
    needs=("rv_end_systole",),
    quality=(whole_structure,),
)
