"""Muscle range (HU −29 to 150): mean density."""

from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT, HOUNSFIELD
from racoon.science.biomarkers.tissues import interval_mean

DEFINITION = Definition(
    id="muscle_range_attenuation",
    version="1",
    title_de="Muskelbereich (HU −29 bis 150): mittlere Dichte",
    title_en="Muscle range (HU −29 to 150): mean density",
    unit=HOUNSFIELD,
    formula="mean HU of the region's voxels with lower_hu <= HU <= upper_hu",
    source="Mitsiopoulos 1998, doi:10.1152/jappl.1998.85.1.115",
    compute_formula=interval_mean,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150},
    whole_image=True,
    quality=(enough_voxels,),
)
