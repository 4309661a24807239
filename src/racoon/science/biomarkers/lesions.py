"""Size and number of lesions: each connected part of the mask is one lesion, the largest counts."""

from __future__ import annotations

import math

from racoon.science.biomarkers.definition import Context, Definition, Measured, Parameters, Region
from racoon.science.biomarkers.structures import LESIONS
from racoon.science.geometry import AxialDiameters, axial_diameters, find_parts, max_diameter_mm

_RECIST = "RECIST 1.1, doi:10.1016/j.ejca.2008.10.026"


def _largest(region: Region, parameters: Parameters) -> AxialDiameters | None:
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    measured = [axial_diameters(parts.mask(number), region.affine) for number in range(1, parts.count + 1)]
    return max(measured, key=lambda item: item.long_mm, default=None)


def _slice(region: Region, found: AxialDiameters) -> int:
    return found.slice_index + (region.box.start[0] if region.box else 0)


def _long_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    found = _largest(region, parameters)
    return Measured(found.long_mm, "", _slice(region, found)) if found else Measured(math.nan, "empty_mask")


def _short_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    found = _largest(region, parameters)
    return Measured(found.short_mm, "", _slice(region, found)) if found else Measured(math.nan, "empty_mask")


def _max_diameter(region: Region, _context: Context, parameters: Parameters) -> Measured:
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    longest = [max_diameter_mm(parts.mask(number), region.affine) for number in range(1, parts.count + 1)]
    return Measured(max(longest)) if longest else Measured(math.nan, "empty_mask")


def _count(region: Region, _context: Context, parameters: Parameters) -> Measured:
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    return Measured(float(parts.count)) if parts.count else Measured(math.nan, "empty_mask")


LONG_AXIS = Definition(
    id="lesion_long_axis",
    version="1",
    title_de="Längster axialer Durchmesser der größten Läsion",
    title_en="Longest axial diameter of the largest lesion",
    unit="mm",
    formula="largest in-plane distance between voxel corners, over all slices and 26-connected parts",
    source=_RECIST,
    compute_formula=_long_axis,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=LESIONS,
)

SHORT_AXIS = Definition(
    id="lesion_short_axis",
    version="1",
    title_de="Senkrechter Durchmesser der größten Läsion",
    title_en="Perpendicular diameter of the largest lesion",
    unit="mm",
    formula="longest chord of the hull perpendicular to the long axis, in the slice of the long axis",
    source=_RECIST,
    compute_formula=_short_axis,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=LESIONS,
)

MAX_DIAMETER = Definition(
    id="lesion_max_diameter",
    version="1",
    title_de="Größter räumlicher Durchmesser der größten Läsion",
    title_en="Largest 3D diameter of the largest lesion",
    unit="mm",
    formula="largest distance between voxel corners of one 26-connected part, in any direction",
    source="IBSI L0JK (maximum 3D diameter), on voxel corners",
    compute_formula=_max_diameter,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=LESIONS,
)

LESION_COUNT = Definition(
    id="lesion_count",
    version="1",
    title_de="Zahl der Läsionen",
    title_en="Number of lesions",
    unit="{count}",
    formula="number of 26-connected parts of at least smallest_voxels voxels",
    source="IBSI, connected components",
    compute_formula=_count,
    defaults={"smallest_voxels": 1},
    method="volumetric",
    applies_to=(*LESIONS, "white_matter_lesion", "lung_opacity"),
)
