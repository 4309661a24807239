"""Share of hyperinflated lung (-1000 to -901 HU)."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.aeration import band_share
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="aeration_hyper",
    version="1",
    title_de="Lungenanteil überbläht (-1000 bis -901 HU)",
    title_en="Share of hyperinflated lung (-1000 to -901 HU)",
    unit="%",
    formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs",
    source="Gattinoni 2001, doi:10.1164/ajrccm.164.9.2103121",
    compute_formula=band_share,
    validity=Validity(frozenset({"CT"}), unenhanced=True, soft_kernel=True),
    defaults={"lower_hu": -1000, "upper_hu": -901},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
