"""Largest 3D diameter."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.volumes import spatial_diameter

DEFINITION = Definition(
    id="max_diameter",
    version="1",
    title_de="Größter räumlicher Durchmesser",
    title_en="Largest 3D diameter",
    unit="mm",
    formula="largest distance between voxel corners of the mask, all its parts together",
    source="IBSI L0JK, doi:10.1148/radiol.2020191145; on voxel corners",
    compute_formula=spatial_diameter,
    method="length",
    quality=(whole_structure,),
)
