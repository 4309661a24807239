"""Metabolic tumour volume."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.organs import tumour_volume

DEFINITION = Definition(
    id="mtv",
    version="1",
    title_de="Metabolisches Tumorvolumen",
    title_en="Metabolic tumour volume",
    unit="mL",
    formula="volume of the mask at or above threshold_suv and share_of_maximum (0: all)",
    source="Wahl 2009 (PERCIST), doi:10.2967/jnumed.108.057307",
    compute_formula=tumour_volume,
    validity=Validity(frozenset({"PT"}), uptake=True),
    defaults={"threshold_suv": 0.0, "share_of_maximum": 0.0},
    quality=(enough_voxels,),
)
