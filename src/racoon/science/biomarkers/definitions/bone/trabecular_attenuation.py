"""Trabecular attenuation of the vertebral body."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.bone import trabecular
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import HOUNSFIELD

DEFINITION = Definition(
    id="trabecular_attenuation",
    version="1",
    title_de="Trabekuläre Dichte des Wirbelkörpers",
    title_en="Trabecular attenuation of the vertebral body",
    unit=HOUNSFIELD,
    formula="mean HU of the largest part deeper than erosion_mm, middle height_share of its height",
    source="Pickhardt 2013, doi:10.7326/0003-4819-158-8-201304160-00003",
    compute_formula=trabecular,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True),
    defaults={"erosion_mm": 4.0, "height_share": 0.6},
    applies_to=("vertebra",),
    quality=(enough_voxels,),
    ranges="L1: ≤ 110 specific, ≤ 160 sensitive for osteoporosis (Pickhardt 2013)",
)
