"""Perpendicular diameter of the largest lesion."""

from racoon.science.biomarkers.definition import Definition, enough_voxels, whole_structure
from racoon.science.biomarkers.lesions import short_axis
from racoon.science.biomarkers.structures import LESIONS

DEFINITION = Definition(
    id="lesion_short_axis",
    version="1",
    title_de="Senkrechter Durchmesser der größten Läsion",
    title_en="Perpendicular diameter of the largest lesion",
    unit="mm",
    formula="longest chord of the hull perpendicular to the long axis, in the slice of the long axis",
    source="RECIST 1.1, doi:10.1016/j.ejca.2008.10.026",
    compute_formula=short_axis,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=LESIONS,
    quality=(whole_structure, enough_voxels),
)
