"""Coronary calcium on chest CT after Weston (0–12)."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.lung import thin_slices
from racoon.science.biomarkers.ordinal_calcium import sum_over_arteries, weston_artery

DEFINITION = Definition(
    id="chest_calcium_weston",
    version="1",
    title_de="Koronarkalk im Thorax-CT nach Weston (0–12)",
    title_en="Coronary calcium on chest CT after Weston (0–12)",
    unit="{score}",
    formula="sum over arteries: none 0; a single pixel ≥ threshold_hu 1; maximum ≥ blooming_hu 3; else 2",
    source="Kirsch 2012, doi:10.1007/s10554-011-9928-9",
    compute_formula=sum_over_arteries(weston_artery),
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True, soft_kernel=True),
    defaults={"threshold_hu": 130, "smallest_mm2": 0.0, "connectivity": 8, "blooming_hu": 600},
    applies_to=("coronary_artery",),
    needs=("lad", "lcx", "rca"),
    uses=("left_main",),
    quality=(whole_structure, thin_slices),
)
