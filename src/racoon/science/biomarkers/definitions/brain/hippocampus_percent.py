"""Hippocampus of intracranial volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.organs import share_of

DEFINITION = Definition(
    id="hippocampus_percent",
    version="1",
    title_de="Hippocampus am Schädelinnenvolumen",
    title_en="Hippocampus of intracranial volume",
    unit="%",
    formula="100 × volume / intracranial volume",
    source="no paper: the proportion method, a volume as a share of the intracranial one",
    compute_formula=share_of("intracranial_volume"),
    method="volumetric",
    applies_to=("hippocampus", "hippocampus_left", "hippocampus_right"),
    needs=("intracranial_volume",),
    quality=(whole_structure,),
)
