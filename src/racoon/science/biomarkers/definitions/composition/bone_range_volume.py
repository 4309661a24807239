"""Bone range (HU from 200): volume."""

from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.tissues import interval_volume

DEFINITION = Definition(
    id="bone_range_volume",
    version="1",
    title_de="Knochenbereich (HU ab 200): Volumen",
    title_en="Bone range (HU from 200): volume",
    unit="mL",
    formula="voxels of the region with lower_hu <= HU <= upper_hu × |det(affine)| / 1000",
    source="Mitsiopoulos 1998, doi:10.1152/jappl.1998.85.1.115",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": 200, "upper_hu": 3071},
    whole_image=True,
)
