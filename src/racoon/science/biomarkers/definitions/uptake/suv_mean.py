"""SUVmean."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.organs import mean_uptake

DEFINITION = Definition(
    id="suv_mean",
    version="1",
    title_de="SUVmean",
    title_en="SUVmean",
    unit="g/mL",
    formula="mean value in the mask",
    source="Wahl 2009 (PERCIST), doi:10.2967/jnumed.108.057307",
    compute_formula=mean_uptake,
    validity=Validity(frozenset({"PT"}), uptake=True),
    quality=(enough_voxels,),
)
