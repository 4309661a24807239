"""Ratio of pulmonary trunk to ascending aorta."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.vessels import trunk_to_aorta

DEFINITION = Definition(
    id="pa_ao_ratio",
    version="1",
    title_de="Verhältnis Truncus pulmonalis zu Aorta ascendens",
    title_en="Ratio of pulmonary trunk to ascending aorta",
    unit="1",
    formula="largest perpendicular diameter of the pulmonary trunk / of the ascending aorta",
    source="Truong 2012 (Framingham), doi:10.1161/CIRCIMAGING.111.968610",
    compute_formula=trunk_to_aorta,
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("pulmonary_trunk",),
    needs=("aorta",),
    quality=(whole_structure,),
    ranges="≤ 0.9 in nine of ten healthy adults (Truong 2012)",
)
