"""Liver minus spleen."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.body import difference_of, liver_and_spleen, not_eroded
from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.densities import HOUNSFIELD

DEFINITION = Definition(
    id="liver_spleen_difference",
    version="1",
    title_de="Differenz Leber minus Milz",
    title_en="Liver minus spleen",
    unit=HOUNSFIELD,
    formula="liver_attenuation − mean HU of the spleen, same erosion",
    source="Starekova 2021, doi:10.1148/radiol.2021204288",
    compute_formula=liver_and_spleen(difference_of),
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"erosion_mm": 5.0},
    applies_to=("liver",),
    needs=("spleen",),
    quality=(whole_structure, enough_voxels, not_eroded),
    ranges="< −10 HU steatosis (Starekova 2021)",
)
