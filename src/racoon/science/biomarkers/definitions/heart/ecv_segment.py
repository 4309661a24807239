"""Extracellular volume by AHA segment."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.heart_segments import segment_mean

DEFINITION = Definition(
    id="ecv_segment",
    version="1",
    title_de="Extrazelluläres Volumen je AHA-Segment",
    title_en="Extracellular volume by AHA segment",
    unit="%",
    formula=(
        "mean of the extracellular volume map over the myocardium in AHA segment 1 to 16 (parameter segment)"
    ),
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
