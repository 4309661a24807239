"""Liver attenuation."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.body import core_attenuation, not_eroded
from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.densities import HOUNSFIELD

DEFINITION = Definition(
    id="liver_attenuation",
    version="1",
    title_de="Leberdichte",
    title_en="Liver attenuation",
    unit=HOUNSFIELD,
    formula="mean HU of the liver without a rim of erosion_mm",
    source="Pickhardt 2012, doi:10.1007/s00330-011-2349-2",
    compute_formula=core_attenuation,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"erosion_mm": 5.0},
    applies_to=("liver",),
    quality=(whole_structure, enough_voxels, not_eroded),
    ranges=(
        "48 HU is specific for 30 % steatosis or more (Pickhardt 2012), 40 HU or less is moderate to severe "
        "(Boyce 2010)"
    ),
)
