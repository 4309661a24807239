"""High attenuation area, −600 to −250 HU."""

from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY, SOFT_UNENHANCED_120, high_attenuation
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="high_attenuation_area",
    version="1",
    title_de="Lungenanteil von −600 bis −250 HU",
    title_en="High attenuation area, −600 to −250 HU",
    unit="%",
    formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs",
    source="Lederer 2009, doi:10.1164/rccm.200812-1966OC",
    compute_formula=high_attenuation,
    validity=SOFT_UNENHANCED_120,
    defaults={"lower_hu": -600, "upper_hu": -250},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
