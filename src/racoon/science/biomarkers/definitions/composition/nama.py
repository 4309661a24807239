"""Normal-attenuation muscle area."""

from racoon.science.biomarkers.body import area_at_level
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="nama",
    version="1",
    title_de="Muskelfläche normaler Dichte",
    title_en="Normal-attenuation muscle area",
    unit="cm2",
    formula=(
        "pixels with lower_hu <= HU <= upper_hu in the slice through the middle of the vertebra × pixel area"
    ),
    source="Kim 2020, doi:10.2196/23049",
    compute_formula=area_at_level,
    validity=CT,
    defaults={"lower_hu": 30, "upper_hu": 150, "level": "L3"},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    quality=(enough_voxels,),
)
