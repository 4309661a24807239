"""Effusion volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.volumes import voxel_volume

DEFINITION = Definition(
    id="effusion_volume",
    version="1",
    title_de="Ergussvolumen",
    title_en="Effusion volume",
    unit="mL",
    formula="number of voxels of the effusion × |det(affine)| / 1000",
    source="DICOM PS3.3 C.7.6.2.1.1",
    compute_formula=voxel_volume,
    method="volumetric",
    applies_to=("pleural_effusion", "pericardial_effusion"),
    quality=(whole_structure,),
)
