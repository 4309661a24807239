"""Calcium volume of the aorta."""

from racoon.science.biomarkers.acquisition import Validity
from racoon.science.biomarkers.calcium import NEIGHBOURS, around, calcium_volume
from racoon.science.biomarkers.definition import Definition, whole_structure
from racoon.science.biomarkers.structures import AORTA

DEFINITION = Definition(
    id="aortic_calcium_volume",
    version="1",
    title_de="Kalkvolumen der Aorta",
    title_en="Calcium volume of the aorta",
    unit="mm3",
    formula="voxels of the lesions × voxel volume, without interpolation; mask grown by margin_mm",
    source="Callister 1998, doi:10.1148/radiology.208.3.9722864",
    compute_formula=around(calcium_volume),
    validity=Validity(frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True, maximum_slice_mm=3.0),
    defaults={
        "threshold_hu": 130,
        "smallest_mm2": 1.0,
        "connectivity": 8,
        "reference_slice_mm": 3.0,
        "margin_mm": 2.0,
    },
    applies_to=AORTA,
    uses=NEIGHBOURS,
    quality=(whole_structure,),
)
