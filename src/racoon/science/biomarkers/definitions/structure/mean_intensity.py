"""Mean signal intensity."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import mean_value

DEFINITION = Definition(
    id="mean_intensity",
    version="1",
    title_de="Mittlere Signalintensität",
    title_en="Mean signal intensity",
    unit="[arb'U]",
    formula="mean of the image values of all voxels in the mask; comparable within one series only",
    source="IBSI Q4LE (mean), doi:10.1148/radiol.2020191145",
    compute_formula=mean_value,
    validity=Validity(frozenset({"MR"})),
    quality=(enough_voxels,),
)
