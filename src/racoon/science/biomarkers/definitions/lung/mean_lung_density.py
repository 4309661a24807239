"""Mean lung density."""

from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.densities import HOUNSFIELD
from racoon.science.biomarkers.lung import DENSITOMETRY, UNENHANCED_120, mean_hu, soft_kernel
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="mean_lung_density",
    version="1",
    title_de="Mittlere Lungendichte",
    title_en="Mean lung density",
    unit=HOUNSFIELD,
    formula="mean of the HU of all voxels in the lung mask",
    source="Parr 2009, doi:10.1186/1465-9921-10-75",
    compute_formula=mean_hu,
    validity=UNENHANCED_120,
    applies_to=LUNGS,
    quality=(*DENSITOMETRY, soft_kernel),
)
