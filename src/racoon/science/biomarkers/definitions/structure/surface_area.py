"""Surface area."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.volumes import surface_area

DEFINITION = Definition(
    id="surface_area",
    version="1",
    title_de="Oberfläche",
    title_en="Surface area",
    unit="cm2",
    formula="area of the marching-cubes mesh at level 0.5",
    source="IBSI C0JK, doi:10.1148/radiol.2020191145",
    compute_formula=surface_area,
    method="volumetric",
    quality=(whole_structure, enough_voxels),
)
