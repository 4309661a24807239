"""Standard deviation of density."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT, HOUNSFIELD, spread

DEFINITION = Definition(
    id="density_sd",
    version="1",
    title_de="Standardabweichung der Dichte",
    title_en="Standard deviation of density",
    unit=HOUNSFIELD,
    formula="√(mean of squared deviations of the HU in the mask), divisor n",
    source="IBSI ECT3 (variance), doi:10.1148/radiol.2020191145",
    compute_formula=spread,
    validity=CT,
    quality=(enough_voxels,),
)
