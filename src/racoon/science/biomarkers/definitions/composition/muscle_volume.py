"""Skeletal muscle: volume."""

from racoon.science.biomarkers.body import interval_volume
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="muscle_volume",
    version="1",
    title_de="Skelettmuskel: Volumen",
    title_en="Skeletal muscle: volume",
    unit="mL",
    formula="voxels with lower_hu <= HU <= upper_hu × voxel volume",
    source="Mitsiopoulos 1998, doi:10.1152/jappl.1998.85.1.115",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": -29, "upper_hu": 150},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    quality=(whole_structure,),
)
