"""Share of the lungs taken by reticulation."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.lung import reticular_share

DEFINITION = Definition(
    id="reticular_percent",
    version="1",
    title_de="Anteil der Retikulationen an der Lunge",
    title_en="Share of the lungs taken by reticulation",
    unit="%",
    formula="100 × voxels of the reticulation / voxels of the reticulation or the lungs; from masks only",
    source="Hansell 2008 (Fleischner terms), doi:10.1148/radiol.2462070712",
    compute_formula=reticular_share,
    validity=CT,
    method="volumetric",
    applies_to=("reticulation",),
    needs=("lung",),
    quality=(whole_structure,),
)
