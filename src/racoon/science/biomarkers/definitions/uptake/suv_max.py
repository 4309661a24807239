"""SUVmax."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.organs import highest_uptake

DEFINITION = Definition(
    id="suv_max",
    version="1",
    title_de="SUVmax",
    title_en="SUVmax",
    unit="g/mL",
    formula="largest value in the mask",
    source="Wahl 2009 (PERCIST), doi:10.2967/jnumed.108.057307",
    compute_formula=highest_uptake,
    validity=Validity(frozenset({"PT"}), uptake=True),
    quality=(enough_voxels,),
)
