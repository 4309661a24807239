"""Longest axial diameter of the largest lesion."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.lesions import long_axis
from racoon.science.biomarkers.structures import LESIONS

DEFINITION = Definition(
    id="lesion_long_axis",
    version="1",
    title_de="Längster axialer Durchmesser der größten Läsion",
    title_en="Longest axial diameter of the largest lesion",
    unit="mm",
    formula="largest in-plane distance between voxel corners, over all slices and 26-connected parts",
    source="RECIST 1.1, doi:10.1016/j.ejca.2008.10.026",
    compute_formula=long_axis,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=LESIONS,
    quality=(whole_structure, enough_voxels),
)
