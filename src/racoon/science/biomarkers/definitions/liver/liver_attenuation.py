"""Liver attenuation."""

from racoon.science.biomarkers.body import core_attenuation, not_eroded
from racoon.science.biomarkers.definition import Definition, Validity, enough_voxels, whole_structure
from racoon.science.biomarkers.densities import HOUNSFIELD

DEFINITION = Definition(
    id="liver_attenuation",
    version="1",
    title_de="Leberdichte",
    title_en="Liver attenuation",
    unit=HOUNSFIELD,
    formula="mean HU of the liver without a rim of erosion_mm",
    source="Kodama 2007, doi:10.2214/AJR.06.0992",
    compute_formula=core_attenuation,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"erosion_mm": 5.0},
    applies_to=("liver",),
    quality=(whole_structure, enough_voxels, not_eroded),
    ranges="48 HU is specific for 30 % steatosis or more; < 40 HU moderate to severe (Starekova 2021)",
)
