"""Lung mass."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.lung import tissue_mass
from racoon.science.biomarkers.structures import LUNGS

DEFINITION = Definition(
    id="lung_mass",
    version="1",
    title_de="Lungengewicht",
    title_en="Lung mass",
    unit="g",
    formula="Σ (HU + 1000) / 1000 × voxel volume in mL, HU clipped to −1000 … 0",
    source="no paper: the definition of the HU scale, water 0 at 1 g/mL and air −1000 at 0 g/mL",
    compute_formula=tissue_mass,
    validity=Validity(frozenset({"CT"}), unenhanced=True),
    applies_to=LUNGS,
    quality=(whole_structure,),
)
