"""15th percentile of lung density."""

from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.densities import HOUNSFIELD
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120, percentile
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="perc_15",
    version="1",
    title_de="15. Perzentile der Lungendichte",
    title_en="15th percentile of lung density",
    unit=HOUNSFIELD,
    formula="smallest HU at or below which percent % of the lung voxels lie (inverted CDF)",
    source="Parr 2006, doi:10.1136/thx.2005.054890",
    compute_formula=percentile,
    validity=SOFT_UNENHANCED_120,
    defaults={"percent": 15},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
