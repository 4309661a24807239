"""Agatston score of the aorta."""

from racoon.science.biomarkers.calcium import agatston, around
from racoon.science.biomarkers.definition import Definition, Validity, whole_structure
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
    uses=(
        "coronary_artery",
        "aortic_valve",
        "vertebra_c1",
        "vertebra_c2",
        "vertebra_c3",
        "vertebra_c4",
        "vertebra_c5",
        "vertebra_c6",
        "vertebra_c7",
        "vertebra_t1",
        "vertebra_t2",
        "vertebra_t3",
        "vertebra_t4",
        "vertebra_t5",
        "vertebra_t6",
        "vertebra_t7",
        "vertebra_t8",
        "vertebra_t9",
        "vertebra_t10",
        "vertebra_t11",
        "vertebra_t12",
        "vertebra_l1",
        "vertebra_l2",
        "vertebra_l3",
        "vertebra_l4",
        "vertebra_l5",
    ),
    quality=(whole_structure,),
)
