"""Coronary calcium on chest CT after Shemesh (0–12)."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.lung import thin_slices
from racoon.science.biomarkers.ordinal_calcium import ordinal_artery, sum_over_arteries

DEFINITION = Definition(
    id="chest_calcium_ordinal",
    version="1",
    title_de="Koronarkalk im Thorax-CT nach Shemesh (0–12)",
    title_en="Coronary calcium on chest CT after Shemesh (0–12)",
    unit="{score}",
    formula="sum over arteries by the share of length with calcium: none 0; < 1/3 1; ≤ 2/3 2; above 3",
    source="Shemesh 2010, doi:10.1148/radiol.10100383",
    compute_formula=sum_over_arteries(ordinal_artery),
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True, soft_kernel=True),
    defaults={"threshold_hu": 130, "smallest_mm2": 1.0, "connectivity": 8},
    applies_to=("coronary_artery",),
    needs=("lad", "lcx", "rca"),
    uses=("left_main",),
    quality=(whole_structure, thin_slices),
)
