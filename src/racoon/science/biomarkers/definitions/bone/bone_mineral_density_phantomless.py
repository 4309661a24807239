"""Volumetric bone mineral density without a phantom."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.bone import internal_mineral
from racoon.science.biomarkers.definition import Definition, enough_voxels

DEFINITION = Definition(
    id="bone_mineral_density_phantomless",
    version="1",
    title_de="Knochenmineraldichte ohne Phantom",
    title_en="Volumetric bone mineral density without a phantom",
    unit="mg/cm3",
    formula=(
        "line through (mean HU of the aorta, blood_mg_per_cm3) and (of subcutaneous fat, fat_mg_per_cm3),"
        " at trabecular_attenuation"
    ),
    source="Kaesmacher 2017, doi:10.1097/RCT.0000000000000518; the densities are the site's own",
    compute_formula=internal_mineral,
    validity=Validity(frozenset({"CT"}), unenhanced=True),
    defaults={"erosion_mm": 4.0, "height_share": 0.6, "blood_mg_per_cm3": 0.0, "fat_mg_per_cm3": 0.0},
    applies_to=("vertebra",),
    needs=("aorta", "subcutaneous_fat"),
    required=("blood_mg_per_cm3", "fat_mg_per_cm3"),
    quality=(enough_voxels,),
    ranges=(
        "< 80 osteoporosis, 80–120 osteopenia (ACR practice parameter for quantitative CT); as "
        "good as the site's own densities of blood and fat"
    ),
)
