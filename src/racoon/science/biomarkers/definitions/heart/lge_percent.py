"""Late gadolinium enhancement."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import enhanced_share

DEFINITION = Definition(
    id="lge_percent",
    version="1",
    title_de="Spätanreicherung des Myokards",
    title_en="Late gadolinium enhancement",
    unit="%",
    formula="100 × voxels above mean + sd × SD of remote myocardium / voxels of the myocardium",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=enhanced_share,
    validity=Validity(frozenset({"MR"}), enhanced=True),
    defaults={"sd": 5.0},
    applies_to=("lv_myocardium",),
    needs=("remote_myocardium",),
    quality=(whole_structure,),
)
