"""Left ventricular end-systolic volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.volumes import voxel_volume

DEFINITION = Definition(
    id="lv_esv",
    version="1",
    title_de="Linksventrikuläres endsystolisches Volumen",
    title_en="Left ventricular end-systolic volume",
    unit="mL",
    formula="number of voxels × |det(affine)| / 1000",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=voxel_volume,
    method="volumetric",
    applies_to=("lv_end_systole",),
    quality=(whole_structure,),
)
