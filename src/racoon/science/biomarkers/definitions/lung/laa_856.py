"""Low attenuation area below −856 HU (expiration, air trapping)."""

from racoon.science.biomarkers.aeration import share_below
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="laa_856",
    version="1",
    title_de="Lungenanteil unter −856 HU (Exspiration)",
    title_en="Low attenuation area below −856 HU (expiration, air trapping)",
    unit="%",
    formula="100 × voxels with HU < threshold_hu / voxels of the lungs (strictly below)",
    source="Schroeder 2013, doi:10.2214/AJR.12.10102",
    compute_formula=share_below,
    validity=SOFT_UNENHANCED_120,
    defaults={"threshold_hu": -856},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
