"""Pericoronary fat: mean density."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.densities import HOUNSFIELD
from racoon.science.biomarkers.structures import CORONARIES
from racoon.science.biomarkers.vessels import pericoronary_fat

DEFINITION = Definition(
    id="pcat_attenuation",
    version="1",
    title_de="Perikoronares Fett: mittlere Dichte",
    title_en="Pericoronary fat: mean density",
    unit=HOUNSFIELD,
    formula="mean HU of −190…−30 within one median vessel diameter of the vessel's wall",
    source="Oikonomou 2018 (CRISP-CT), doi:10.1016/S0140-6736(18)31114-0",
    compute_formula=pericoronary_fat,
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), enhanced=True, gated=True),
    defaults={"lower_hu": -190, "upper_hu": -30},
    applies_to=CORONARIES,
    quality=(enough_voxels,),
    ranges="high risk from −70.1 HU, right coronary artery, 10–50 mm (Oikonomou 2018)",
)
