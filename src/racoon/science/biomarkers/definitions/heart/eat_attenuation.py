"""Epicardial fat: mean density."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import HOUNSFIELD
from racoon.science.biomarkers.vessels import fat_mean

DEFINITION = Definition(
    id="eat_attenuation",
    version="1",
    title_de="Epikardiales Fett: mittlere Dichte",
    title_en="Epicardial fat: mean density",
    unit=HOUNSFIELD,
    formula="voxels of the pericardial sac with lower_hu <= HU <= upper_hu",
    source="Commandeur 2018, doi:10.1109/TMI.2018.2804799",
    compute_formula=fat_mean,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"lower_hu": -190, "upper_hu": -30},
    applies_to=("pericardium",),
    quality=(whole_structure,),
)
