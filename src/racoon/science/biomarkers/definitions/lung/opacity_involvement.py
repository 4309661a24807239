"""Share of the lungs taken by opacities."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.lung import involvement

DEFINITION = Definition(
    id="opacity_involvement",
    version="1",
    title_de="Anteil der Verschattung an der Lunge",
    title_en="Share of the lungs taken by opacities",
    unit="%",
    formula="100 × voxels of the opacity / voxels of the opacity or the lungs",
    source="no paper: QDAR, the quotient of diseased area, is a ratio of two masks",
    compute_formula=involvement,
    validity=CT,
    needs_reference=True,
    method="volumetric",
    applies_to=("lung_opacity",),
    quality=(whole_structure,),
)
