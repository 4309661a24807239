"""Low attenuation area below −950 HU."""

from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120, low_attenuation
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="laa_950",
    version="1",
    title_de="Lungenanteil unter −950 HU",
    title_en="Low attenuation area below −950 HU",
    unit="%",
    formula="100 × voxels with HU < threshold_hu / voxels of the lungs (strictly below)",
    source="Gevenois 1996, doi:10.1164/ajrccm.154.1.8680679",
    compute_formula=low_attenuation,
    validity=SOFT_UNENHANCED_120,
    defaults={"threshold_hu": -950},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
