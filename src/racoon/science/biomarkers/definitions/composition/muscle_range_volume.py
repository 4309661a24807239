"""Muscle range (HU −29 to 150): volume."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.tissues import interval_volume

DEFINITION = Definition(
    id="muscle_range_volume",
    version="1",
    title_de="Muskelbereich (HU −29 bis 150): Volumen",
    title_en="Muscle range (HU −29 to 150): volume",
    unit="mL",
    formula="voxels of the region with lower_hu <= HU <= upper_hu × |det(affine)| / 1000",
    source="Mitsiopoulos 1998, doi:10.1152/jappl.1998.85.1.115",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150},
    whole_image=True,
    quality=(enough_voxels,),
)
