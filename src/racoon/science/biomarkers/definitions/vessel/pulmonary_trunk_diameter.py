"""Pulmonary trunk: largest diameter."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT
from racoon.science.biomarkers.vessels import largest_anywhere

DEFINITION = Definition(
    id="pulmonary_trunk_diameter",
    version="1",
    title_de="Truncus pulmonalis: größter Durchmesser",
    title_en="Pulmonary trunk: largest diameter",
    unit="mm",
    formula="largest 2√(A/π) of the sections perpendicular to the smoothed, recentred centreline",
    source="Truong 2012 (Framingham), doi:10.1161/CIRCIMAGING.111.968610",
    compute_formula=largest_anywhere,
    validity=CT,
    defaults={"reach_mm": 60.0},
    method="length",
    applies_to=("pulmonary_trunk",),
    quality=(whole_structure,),
    ranges="> 29 mm men, > 27 mm women (Truong 2012)",
)
