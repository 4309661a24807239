"""Total lesion glycolysis."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.definition import Definition, enough_voxels
from racoon.science.biomarkers.organs import total_glycolysis

DEFINITION = Definition(
    id="tlg",
    version="1",
    title_de="Gesamtglykolyse",
    title_en="Total lesion glycolysis",
    unit="g",
    formula="Σ SUV × voxel volume over the voxels of mtv",
    source="Wahl 2009 (PERCIST), doi:10.2967/jnumed.108.057307",
    compute_formula=total_glycolysis,
    validity=Validity(frozenset({"PT"}), uptake=True),
    defaults={"threshold_suv": 0.0, "share_of_maximum": 0.0},
    quality=(enough_voxels,),
)
