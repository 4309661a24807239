"""Lesion load of the brain."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import share_of

DEFINITION = Definition(
    id="lesion_load",
    version="1",
    title_de="Läsionslast des Gehirns",
    title_en="Lesion load of the brain",
    unit="%",
    formula="100 × lesion volume / brain volume",
    source=(
        "no paper: a volume as a share of the brain's; what such a lesion is: Wardlaw 2013 (STRIVE), "
        "doi:10.1016/S1474-4422(13)70124-8"
    ),
    compute_formula=share_of("brain"),
    method="volumetric",
    applies_to=("white_matter_lesion",),
    needs=("brain",),
    quality=(whole_structure,),
)
