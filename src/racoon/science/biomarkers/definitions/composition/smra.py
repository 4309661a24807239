"""Skeletal muscle radiation attenuation."""

from racoon.science.biomarkers.body import attenuation_at_level
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import CT, HOUNSFIELD

DEFINITION = Definition(
    id="smra",
    version="1",
    title_de="Mittlere Muskeldichte",
    title_en="Skeletal muscle radiation attenuation",
    unit=HOUNSFIELD,
    formula="mean HU of the pixels counted by sma",
    source="Derstine 2018, doi:10.1038/s41598-018-29825-5",
    compute_formula=attenuation_at_level,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150, "level": "L3"},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    quality=(enough_voxels,),
    ranges="low: < 34.3 women, < 38.5 men, at L3 (Derstine 2018)",
)
