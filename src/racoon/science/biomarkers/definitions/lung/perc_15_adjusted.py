"""15th percentile adjusted to the predicted lung volume."""

from racoon.science.biomarkers.aeration import perc15_adjusted
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120

DEFINITION = Definition(
    id="perc_15_adjusted",
    version="1",
    title_de="15. Perzentile, auf das vorhergesagte Lungenvolumen bezogen",
    title_en="15th percentile adjusted to the predicted lung volume",
    unit="g/L",
    formula="(15th percentile of HU + 1000) × measured lung volume / predicted_tlv_ml",
    source=(
        "no paper: the mass of tissue is kept at any inspiration; that the volume has to be adjusted for is "
        "Parr 2008, doi:10.1186/1465-9921-9-21"
    ),
    compute_formula=perc15_adjusted,
    validity=SOFT_UNENHANCED_120,
    defaults={"predicted_tlv_ml": 0.0},
    applies_to=("lung",),
    required=("predicted_tlv_ml",),
    quality=DENSITOMETRY,
)
