"""Late gadolinium enhancement by AHA segment."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.heart_segments import segment_enhanced_share

DEFINITION = Definition(
    id="lge_segment",
    version="1",
    title_de="Spätanreicherung je AHA-Segment",
    title_en="Late gadolinium enhancement by AHA segment",
    unit="%",
    formula=(
        "100 × voxels above mean + sd × SD of remote myocardium / voxels of the myocardium, "
        "in AHA segment 1 to 16 (parameter segment)"
    ),
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=segment_enhanced_share,
    validity=Validity(frozenset({"MR"}), enhanced=True),
    defaults={"sd": 5.0, "segment": 0},
    applies_to=("lv_myocardium",),
    needs=("remote_myocardium", "right_ventricle"),
    required=("segment",),
    quality=(whole_structure,),
)
