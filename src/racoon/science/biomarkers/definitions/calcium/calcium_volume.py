"""Calcium volume."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.calcium import calcium_volume
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import CORONARIES

DEFINITION = Definition(
    id="calcium_volume",
    version="1",
    title_de="Kalkvolumen",
    title_en="Calcium volume",
    unit="mm3",
    formula="voxels of the lesions × voxel volume, without interpolation",
    source="Callister 1998, doi:10.1148/radiology.208.3.9722864",
    compute_formula=calcium_volume,
    validity=Validity(
        frozenset({"CT"}),
        kvp=(120.0, 120.0),
        unenhanced=True,
        maximum_slice_mm=3.0,
        gated=True,
        soft_kernel=True,
    ),
    defaults={"threshold_hu": 130, "smallest_mm2": 1.0, "connectivity": 8, "reference_slice_mm": 3.0},
    applies_to=CORONARIES,
    quality=(whole_structure,),
)
