"""Liver to spleen ratio."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.body import liver_and_spleen, not_eroded, ratio_of
from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure

DEFINITION = Definition(
    id="liver_spleen_ratio",
    version="1",
    title_de="Verhältnis Leber zu Milz",
    title_en="Liver to spleen ratio",
    unit="1",
    formula="liver_attenuation / mean HU of the spleen, same erosion",
    source="Starekova 2021, doi:10.1148/radiol.2021204288",
    compute_formula=liver_and_spleen(ratio_of),
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"erosion_mm": 5.0},
    applies_to=("liver",),
    needs=("spleen",),
    quality=(whole_structure, enough_voxels, not_eroded),
    ranges="< 1.0 steatosis (Starekova 2021)",
)
