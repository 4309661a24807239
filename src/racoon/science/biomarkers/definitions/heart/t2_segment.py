"""T2 by AHA segment."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.heart_segments import segment_mean

DEFINITION = Definition(
    id="t2_segment",
    version="1",
    title_de="T2 je AHA-Segment",
    title_en="T2 by AHA segment",
    unit="ms",
    formula="mean of the T2 map over the myocardium in AHA segment 1 to 16 (parameter segment)",
    source="Cerqueira 2002 (AHA), doi:10.1161/hc0402.102975",
    compute_formula=segment_mean,
    validity=Validity(frozenset({"MR"})),
    defaults={"segment": 0},
    applies_to=("lv_myocardium",),
    needs=("right_ventricle",),
    required=("segment",),
    quality=(whole_structure,),
    ranges="each site's own normal values at its field strength (Messroghli 2017)",
)
