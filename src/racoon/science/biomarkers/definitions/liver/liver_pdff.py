"""Estimated liver fat fraction."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.body import fat_fraction, not_eroded
from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure

DEFINITION = Definition(
    id="liver_pdff",
    version="1",
    title_de="Geschätzter Fettanteil der Leber",
    title_en="Estimated liver fat fraction",
    unit="%",
    formula="slope × liver_attenuation + intercept",
    source="Pickhardt 2018, in Starekova 2021, doi:10.1148/radiol.2021204288",
    compute_formula=fat_fraction,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"erosion_mm": 5.0, "slope": -0.58, "intercept": 38.2},
    applies_to=("liver",),
    quality=(whole_structure, enough_voxels, not_eroded),
)
