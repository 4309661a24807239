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
    source="IBSI Q4LE (mean), doi:10.1148/radiol.2020191145",
    compute_formula=mean_value,
    validity=CT,
    applies_to=("pleural_effusion", "pericardial_effusion"),
    quality=(whole_structure,),
    ranges=(
        "transudates (0.3 to 32 HU) and exudates (−21 to 28 HU) overlap: the density does not tell them apart "
        "(Abramowitz 2009)"
    ),
)
