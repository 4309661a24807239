"""Late gadolinium enhancement: mass."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import enhanced_mass

DEFINITION = Definition(
    id="lge_mass",
    version="1",
    title_de="Spätanreicherung des Myokards: Masse",
    title_en="Late gadolinium enhancement: mass",
    unit="g",
    formula="density_g_per_ml × volume of voxels above mean + sd × SD of remote myocardium",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=enhanced_mass,
    validity=Validity(frozenset({"MR"}), enhanced=True),
    defaults={"sd": 5.0, "density_g_per_ml": 1.05},
    applies_to=("lv_myocardium",),
    needs=("remote_myocardium",),
    quality=(whole_structure,),
)
