"""Number of lesions."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.lesions import part_count

DEFINITION = Definition(
    id="lesion_count",
    version="1",
    title_de="Zahl der Läsionen",
    title_en="Number of lesions",
    unit="{count}",
    formula="number of 26-connected parts of at least smallest_voxels voxels",
    source="no paper: a count of connected parts, connectivity as IBSI, doi:10.1148/radiol.2020191145",
    compute_formula=part_count,
    defaults={"smallest_voxels": 1},
    method="volumetric",
    applies_to=("lesion", "tumour", "nodule", "lymph_node", "white_matter_lesion", "lung_opacity"),
    quality=(whole_structure, enough_voxels),
)
