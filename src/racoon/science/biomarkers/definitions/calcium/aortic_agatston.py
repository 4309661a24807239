"""Agatston score of the aorta."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.calcium import NEIGHBOURS, agatston, around
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import AORTA

DEFINITION = Definition(
    id="aortic_agatston",
    version="1",
    title_de="Agatston-Score der Aorta",
    title_en="Agatston score of the aorta",
    unit="[arb'U]",
    formula=(
        "per slice and lesion (threshold_hu, connectivity, at least smallest_mm2): area × weight 1–4 by "
        "maximum HU; sum × increment / reference_slice_mm; mask grown by margin_mm"
    ),
    source="Agatston 1990, doi:10.1016/0735-1097(90)90282-T",
    compute_formula=around(agatston),
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True, maximum_slice_mm=3.0),
    defaults={
        "threshold_hu": 130,
        "smallest_mm2": 1.0,
        "connectivity": 8,
        "reference_slice_mm": 3.0,
        "margin_mm": 2.0,
    },
    applies_to=AORTA,
    uses=NEIGHBOURS,
    quality=(whole_structure,),
)
