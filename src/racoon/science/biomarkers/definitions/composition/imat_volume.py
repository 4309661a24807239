"""Intramuscular fat: volume."""

from racoon.science.biomarkers.body import interval_volume
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT

DEFINITION = Definition(
    id="imat_volume",
    version="1",
    title_de="Intramuskuläres Fett: Volumen",
    title_en="Intramuscular fat: volume",
    unit="mL",
    formula="voxels with lower_hu <= HU <= upper_hu × voxel volume",
    source="Kim 2020, doi:10.2196/23049",
    compute_formula=interval_volume,
    validity=CT,
    defaults={"lower_hu": -190, "upper_hu": -30},
    applies_to=("skeletal_muscle", "pectoralis_muscle"),
    quality=(whole_structure,),
)
