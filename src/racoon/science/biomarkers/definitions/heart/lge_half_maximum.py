"""Late gadolinium enhancement (half maximum)."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import half_maximum

DEFINITION = Definition(
    id="lge_half_maximum",
    version="1",
    title_de="Spätanreicherung des Myokards (halbes Maximum)",
    title_en="Late gadolinium enhancement (half maximum)",
    unit="%",
    formula="100 × voxels at or above share_of_maximum × the maximum / voxels of the myocardium",
    source="Flett 2011, doi:10.1016/j.jcmg.2010.11.015",
    compute_formula=half_maximum,
    validity=Validity(frozenset({"MR"}), enhanced=True),
    defaults={"share_of_maximum": 0.5},
    applies_to=("lv_myocardium",),
    quality=(whole_structure,),
)
