"""15th percentile as density."""

from racoon.science.biomarkers.aeration import perc15_density
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="perc_15_density",
    version="1",
    title_de="15. Perzentile als Dichte",
    title_en="15th percentile as density",
    unit="g/L",
    formula="15th percentile of HU (inverted CDF) + 1000",
    source="Parr 2006, doi:10.1136/thx.2005.054890",
    compute_formula=perc15_density,
    validity=SOFT_UNENHANCED_120,
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
