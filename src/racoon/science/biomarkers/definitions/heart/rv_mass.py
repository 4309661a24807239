"""Right ventricular mass."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import myocardial_mass

DEFINITION = Definition(
    id="rv_mass",
    version="1",
    title_de="Rechtsventrikuläre Masse",
    title_en="Right ventricular mass",
    unit="g",
    formula="density_g_per_ml × volume of the right ventricle's free wall",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=myocardial_mass,
    defaults={"density_g_per_ml": 1.05},
    method="volumetric",
    applies_to=("rv_myocardium",),
    quality=(whole_structure,),
)
