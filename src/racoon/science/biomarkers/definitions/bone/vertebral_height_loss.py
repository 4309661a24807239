"""Height loss of the vertebral body."""

from racoon.science.biomarkers.bone import height_loss
from racoon.science.biomarkers.definition import Definition, whole_structure

DEFINITION = Definition(
    id="vertebral_height_loss",
    version="1",
    title_de="Höhenminderung des Wirbelkörpers",
    title_en="Height loss of the vertebral body",
    unit="%",
    formula=(
        "100 × (1 − lowest / highest of anterior, middle and posterior height), middle third of the width"
    ),
    source="Genant 1993, doi:10.1002/jbmr.5650080915",
    compute_formula=height_loss,
    method="length",
    applies_to=("vertebral_body",),
    quality=(whole_structure,),
)
