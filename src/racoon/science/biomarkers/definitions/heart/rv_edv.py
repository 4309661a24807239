"""Right ventricular end-diastolic volume."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.volumes import voxel_volume

DEFINITION = Definition(
    id="rv_edv",
    version="1",
    title_de="Rechtsventrikuläres enddiastolisches Volumen",
    title_en="Right ventricular end-diastolic volume",
    unit="mL",
    formula="number of voxels × |det(affine)| / 1000",
    source="Schulz-Menger 2020 (SCMR), doi:10.1186/s12968-020-00610-6",
    compute_formula=voxel_volume,
    method="volumetric",
    applies_to=("rv_end_diastole",),
    quality=(whole_structure,),
)
