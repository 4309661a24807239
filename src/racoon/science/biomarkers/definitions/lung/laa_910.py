"""Low attenuation area below −910 HU."""

from racoon.science.biomarkers.aeration import share_below
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="laa_910",
    version="1",
    title_de="Lungenanteil unter −910 HU",
    title_en="Low attenuation area below −910 HU",
    unit="%",
    formula="100 × voxels with HU < threshold_hu / voxels of the lungs (strictly below)",
    source="Müller 1988, doi:10.1378/chest.94.4.782",
    compute_formula=share_below,
    validity=SOFT_UNENHANCED_120,
    defaults={"threshold_hu": -910},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
