"""Skeletal muscle index."""

from racoon.science.biomarkers.body import index_at_level
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="smi",
    version="1",
    title_de="Skelettmuskelindex",
    title_en="Skeletal muscle index",
    unit="cm2/m2",
    formula="sma / height_m²",
    source="Derstine 2018, doi:10.1038/s41598-018-29825-5",
    compute_formula=index_at_level,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150, "level": "L3", "height_m": 0.0},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    required=("height_m",),
    quality=(enough_voxels,),
    ranges="low: < 34.4 women, < 45.4 men, at L3 (Derstine 2018)",
)
