"""Epicardial fat: volume."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.vessels import fat_volume

DEFINITION = Definition(
    id="eat_volume",
    version="1",
    title_de="Epikardiales Fett: Volumen",
    title_en="Epicardial fat: volume",
    unit="mL",
    formula="voxels of the pericardial sac with lower_hu <= HU <= upper_hu",
    source="Commandeur 2018, doi:10.1109/TMI.2018.2804799",
    compute_formula=fat_volume,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"lower_hu": -190, "upper_hu": -30},
    applies_to=("pericardium",),
    quality=(whole_structure,),
)
