"""Calcium mass."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.calcium import calcium_mass
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import CORONARIES

DEFINITION = Definition(
    id="calcium_mass",
    version="1",
    title_de="Kalkmasse",
    title_en="Calcium mass",
    unit="mg",
    formula="mg_per_cm3_per_hu × Σ HU × voxel volume over the lesions",
    source="McCollough 2007, doi:10.1148/radiol.2432050808",
    compute_formula=calcium_mass,
    validity=Validity(
        frozenset({"CT"}),
        kvp=(120.0, 120.0),
        unenhanced=True,
        maximum_slice_mm=3.0,
        gated=True,
        soft_kernel=True,
    ),
    defaults={
        "threshold_hu": 130,
        "smallest_mm2": 1.0,
        "connectivity": 8,
        "reference_slice_mm": 3.0,
        "mg_per_cm3_per_hu": 0.0,
    },
    applies_to=CORONARIES,
    required=("mg_per_cm3_per_hu",),
    quality=(whole_structure,),
)
