"""Ground-glass opacity by threshold (-700 to -300 HU)."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.aeration import band_share
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.lung import DENSITOMETRY
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="ggo_percent",
    version="1",
    title_de="Milchglas nach Schwelle (-700 bis -300 HU)",
    title_en="Ground-glass opacity by threshold (-700 to -300 HU)",
    unit="%",
    formula="100 × voxels with lower_hu <= HU <= upper_hu / voxels of the lungs; vessels are counted too",
    source="no standard exists; the thresholds are parameters, and masks are better where they exist",
    compute_formula=band_share,
    validity=Validity(frozenset({"CT"}), unenhanced=True, soft_kernel=True),
    defaults={"lower_hu": -700, "upper_hu": -300},
    applies_to=LUNGS,
    quality=DENSITOMETRY,
)
