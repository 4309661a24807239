"""Volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.volumes import voxel_volume

DEFINITION = Definition(
    id="volume",
    version="1",
    title_de="Volumen",
    title_en="Volume",
    unit="mL",
    formula="number of voxels × |det(affine)| / 1000",
    source="DICOM PS3.3 C.7.6.2.1.1",
    compute_formula=voxel_volume,
    method="volumetric",
    quality=(whole_structure,),
)
