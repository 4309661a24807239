"""Paracardial fat: volume."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.vessels import fat_volume

DEFINITION = Definition(
    id="pat_volume",
    version="1",
    title_de="Parakardiales Fett: Volumen",
    title_en="Paracardial fat: volume",
    unit="mL",
    formula="voxels of the mediastinum outside the heart with lower_hu <= HU <= upper_hu",
    source="Commandeur 2018, doi:10.1109/TMI.2018.2804799",
    compute_formula=fat_volume,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"lower_hu": -190, "upper_hu": -30},
    applies_to=("mediastinum",),
    quality=(whole_structure,),
)
