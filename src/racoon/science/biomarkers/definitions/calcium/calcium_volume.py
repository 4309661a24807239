"""Calcium volume."""

from racoon.science.biomarkers.calcium import calcium_volume
from racoon.science.biomarkers.definition import Definition, Validity
from racoon.science.biomarkers.structures import CORONARIES

DEFINITION = Definition(
    id="calcium_volume",
    version="1",
    title_de="Kalkvolumen",
    title_en="Calcium volume",
    unit="mm3",
    formula="voxels of the lesions × voxel volume, without interpolation",
    source="Agatston 1990, doi:10.1016/0735-1097(90)90282-T",
    compute_formula=calcium_volume,
    validity=Validity(
        frozenset({"CT"}), kvp=(120.0, 120.0), unenhanced=True, maximum_slice_mm=3.0, gated=True
    ),
    defaults={"threshold_hu": 130, "smallest_mm2": 1.0, "connectivity": 8, "reference_slice_mm": 3.0},
    applies_to=CORONARIES,
    ranges="0; 1–10; 11–100; 101–400; >400 AU",
)
