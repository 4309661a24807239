"""Effusion density."""

from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.densities import CT, HOUNSFIELD, mean_value

DEFINITION = Definition(
    id="effusion_density",
    version="1",
    title_de="Ergussdichte",
    title_en="Effusion density",
    unit=HOUNSFIELD,
    formula="mean of the HU of all voxels of the effusion",
    source="Abramowitz 2009, doi:10.2214/AJR.08.1286",
    compute_formula=mean_value,
    validity=CT,
    applies_to=("pleural_effusion", "pericardial_effusion"),
    quality=(whole_structure,),
    ranges="transudates and exudates overlap below 20 HU; above 35 HU blood is likely (Abramowitz 2009)",
)
