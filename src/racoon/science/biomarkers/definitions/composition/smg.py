"""Skeletal muscle gauge."""

from racoon.science.biomarkers.body import muscle_gauge
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="smg",
    version="1",
    title_de="Skelettmuskel-Gauge",
    title_en="Skeletal muscle gauge",
    unit="cm2.[hnsf'U]/m2",
    formula="smi × smra",
    source="Shachar 2017, Clinical Cancer Research 23:658",
    compute_formula=muscle_gauge,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150, "level": "L3", "height_m": 0.0},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    required=("height_m",),
    quality=(enough_voxels,),
)
