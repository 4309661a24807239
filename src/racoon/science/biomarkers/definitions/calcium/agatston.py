"""Agatston score."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.calcium import agatston
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import CORONARIES

DEFINITION = Definition(
    id="agatston",
    version="1",
    title_de="Agatston-Score",
    title_en="Agatston score",
    unit="[arb'U]",
    formula=(
        "per slice and lesion (threshold_hu, connectivity, at least smallest_mm2): area × weight 1–4 by "
        "maximum HU; sum × increment / reference_slice_mm"
    ),
    source="Agatston 1990, doi:10.1016/0735-1097(90)90282-T",
    compute_formula=agatston,
    validity=Validity(
        frozenset({"CT"}),
        kvp=(120.0, 120.0),
        unenhanced=True,
        maximum_slice_mm=3.0,
        gated=True,
        soft_kernel=True,
    ),
    defaults={"threshold_hu": 130, "smallest_mm2": 1.0, "connectivity": 8, "reference_slice_mm": 3.0},
    applies_to=CORONARIES,
    quality=(whole_structure,),
    ranges="0; 1–10; 11–100; 101–400; > 400 AU (strata of Rumberger 1999, Mayo Clinic Proceedings)",
)
