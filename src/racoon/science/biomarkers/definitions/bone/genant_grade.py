"""Grade of vertebral fracture."""

from racoon.science.biomarkers.bone import genant
from racoon.science.biomarkers.definition import Definition, whole_structure

DEFINITION = Definition(
    id="genant_grade",
    version="1",
    title_de="Grad der Wirbelkörperfraktur",
    title_en="Grade of vertebral fracture",
    unit="{score}",
    formula="0 below 20 % height loss, 1 to 25 %, 2 to 40 %, 3 above",
    source="Genant 1993, doi:10.1002/jbmr.5650080915",
    compute_formula=genant,
    method="length",
    applies_to=("vertebral_body",),
    quality=(whole_structure,),
)
