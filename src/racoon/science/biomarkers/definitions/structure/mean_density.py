"""Mean density."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT, HOUNSFIELD, mean_value

DEFINITION = Definition(
    id="mean_density",
    version="1",
    title_de="Mittlere Dichte",
    title_en="Mean density",
    unit=HOUNSFIELD,
    formula="mean of the HU of all voxels in the mask",
    source="IBSI Q4LE (mean), doi:10.1148/radiol.2020191145",
    compute_formula=mean_value,
    validity=CT,
    quality=(enough_voxels,),
)
