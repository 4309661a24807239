"""Largest 3D diameter of the largest lesion."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.lesions import spatial_diameter
from racoon.science.biomarkers.structures import LESIONS

DEFINITION = Definition(
    id="lesion_max_diameter",
    version="1",
    title_de="Größter räumlicher Durchmesser der größten Läsion",
    title_en="Largest 3D diameter of the largest lesion",
    unit="mm",
    formula="largest distance between voxel corners of one 26-connected part, in any direction",
    source="IBSI L0JK (maximum 3D diameter), doi:10.1148/radiol.2020191145; on voxel corners",
    compute_formula=spatial_diameter,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=LESIONS,
    quality=(whole_structure, enough_voxels),
)
