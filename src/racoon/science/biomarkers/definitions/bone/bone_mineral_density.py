"""Volumetric bone mineral density."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.bone import mineral
from racoon.science.biomarkers.definition import Definition, enough_voxels

DEFINITION = Definition(
    id="bone_mineral_density",
    version="1",
    title_de="Knochenmineraldichte",
    title_en="Volumetric bone mineral density",
    unit="mg/cm3",
    formula="slope_mg_per_cm3_per_hu × trabecular_attenuation + intercept_mg_per_cm3",
    source="Wang 2017, doi:10.1038/s41598-017-06608-y",
    compute_formula=mineral,
    validity=Validity(frozenset({"CT"}), unenhanced=True),
    defaults={
        "erosion_mm": 4.0,
        "height_share": 0.6,
        "slope_mg_per_cm3_per_hu": 0.0,
        "intercept_mg_per_cm3": 0.0,
    },
    applies_to=("vertebra",),
    required=("slope_mg_per_cm3_per_hu",),
    quality=(enough_voxels,),
    ranges="< 80 osteoporosis, 80–120 osteopenia (ACR practice parameter for quantitative CT)",
)
