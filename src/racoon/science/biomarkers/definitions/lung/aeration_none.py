"""Share of non-aerated lung (-100 to 100 HU)."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.aeration import band_share
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="aeration_none",
    version="1",
    title_de="Lungenanteil nicht belüftet (-100 bis 100 HU)",
    title_en="Share of non-aerated lung (-100 to 100 HU)",
    unit="%",
    formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs",
    source="Gattinoni 2001, doi:10.1164/ajrccm.164.9.2103121",
    compute_formula=band_share,
    validity=Validity(frozenset({"CT"}), unenhanced=True, soft_kernel=True),
    defaults={"lower_hu": -100, "upper_hu": 100},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
