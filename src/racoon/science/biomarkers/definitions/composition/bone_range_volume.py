"""Bone range (HU from 200): volume."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.tissues import interval_volume

DEFINITION = Definition(
    id="bone_range_volume",
    version="1",
    title_de="Knochenbereich (HU ab 200): Volumen",
    title_en="Bone range (HU from 200): volume",
    unit="mL",
    formula="voxels of the region with lower_hu <= HU <= upper_hu × |det(affine)| / 1000",
    source="no paper: an interval of HU, which is a parameter",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": 200, "upper_hu": 3071},
    whole_image=True,
    quality=(enough_voxels,),
)
