"""Brain parenchymal fraction."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import share_of

DEFINITION = Definition(
    id="brain_parenchymal_fraction",
    version="1",
    title_de="Hirnparenchymanteil",
    title_en="Brain parenchymal fraction",
    unit="%",
    formula="100 × brain volume / intracranial volume",
    source="Rudick 1999, doi:10.1212/WNL.53.8.1698",
    compute_formula=share_of("intracranial_volume"),
    method="volumetric",
    applies_to=("brain",),
    needs=("intracranial_volume",),
    quality=(whole_structure,),
)
