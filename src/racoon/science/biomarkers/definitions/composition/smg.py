"""Skeletal muscle gauge."""

from racoon.science.biomarkers.body import muscle_gauge
from racoon.science.biomarkers.definition import Definition
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="smg",
    version="1",
    title_de="Skelettmuskel-Gauge",
    title_en="Skeletal muscle gauge",
    unit="cm2.[hnsf'U]/m2",
    formula="smi × smra",
    source="Derstine 2018, doi:10.1038/s41598-018-29825-5",
    compute_formula=muscle_gauge,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150, "level": "L3", "height_m": 0.0},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    required=("height_m",),
)
