"""Volume doubling time."""

from racoon.science.biomarkers.aeration import doubling_time
from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure

DEFINITION = Definition(
    id="volume_doubling_time",
    version="1",
    title_de="Volumenverdopplungszeit",
    title_en="Volume doubling time",
    unit="d",
    formula="ln 2 × interval_days / ln(volume / previous_volume_ml)",
    source="Callister 2015 (BTS), doi:10.1136/thoraxjnl-2015-207168",
    compute_formula=doubling_time,
    defaults={"previous_volume_ml": 0.0, "interval_days": 0.0},
    method="volumetric",
    applies_to=("nodule", "lesion", "tumour"),
    required=("previous_volume_ml", "interval_days"),
    quality=(whole_structure, enough_voxels),
    ranges="below 400 d suspicious, above 600 d rarely malignant (Callister 2015, BTS)",
)
