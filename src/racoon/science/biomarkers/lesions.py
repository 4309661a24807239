"""Size and number of lesions: each connected part of the mask is one lesion, the largest counts."""

from __future__ import annotations

import math

from racoon.science.biomarkers.definition import Context, Definition, Measured, Parameters, Region
from racoon.science.biomarkers.evidence import line_in_plane
from racoon.science.biomarkers.structures import LESIONS
from racoon.science.geometry import AxialDiameters, axial_diameters, find_parts, longest_line

_RECIST = "RECIST 1.1, doi:10.1016/j.ejca.2008.10.026"


def _largest(region: Region, parameters: Parameters) -> AxialDiameters | None:
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    if region.memo.get("largest lesion", (None,))[0] == parameters["smallest_voxels"]:
        known: AxialDiameters | None = region.memo["largest lesion"][1]
        return known
    measured = [axial_diameters(parts.mask(number), region.affine) for number in range(1, parts.count + 1)]
    found = max(measured, key=lambda item: item.long_mm, default=None)
    region.memo["largest lesion"] = parameters["smallest_voxels"], found
    return found


def _slice(region: Region, found: AxialDiameters) -> int:
    return found.slice_index + (region.box.start[0] if region.box else 0)


def _long_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    found = _largest(region, parameters)
    if found is None:
        return Measured(math.nan, "empty_mask")
    return Measured(found.long_mm, "", _slice(region, found), {"lines_mm": [found.long_ends_mm]})


def _short_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    found = _largest(region, parameters)
    if found is None:
        return Measured(math.nan, "empty_mask")
    return Measured(found.short_mm, "", _slice(region, found), {"lines_mm": [found.short_ends_mm]})


def _mean_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    found = _largest(region, parameters)
    if found is None:
        return Measured(math.nan, "empty_mask")
    lines = {"lines_mm": [found.long_ends_mm, found.short_ends_mm]}
    return Measured((found.long_mm + found.short_mm) / 2.0, "", _slice(region, found), lines)


def _max_diameter(region: Region, _context: Context, parameters: Parameters) -> Measured:
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    found = [longest_line(parts.mask(number), region.affine) for number in range(1, parts.count + 1)]
    longest = max((item for item in found if item), key=lambda item: item[0], default=None)
    if longest is None:
        return Measured(math.nan, "empty_mask")
    return Measured(longest[0], evidence=line_in_plane(longest[1]))


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

NODULE_MEAN_DIAMETER = Definition(
    id="nodule_mean_diameter",
    version="1",
    title_de="Mittlerer axialer Durchmesser des größten Rundherds",
    title_en="Mean axial diameter of the largest nodule",
    unit="mm",
    formula="(long axis + short axis) / 2, both in the slice of the long axis",
    source="MacMahon 2017 (Fleischner), doi:10.1148/radiol.2017161659",
    compute_formula=_mean_axis,
    defaults={"smallest_voxels": 1},
    method="length",
    applies_to=("nodule",),
    ranges="no routine follow-up below 6 mm at low risk (Fleischner 2017)",
)

MAX_DIAMETER = Definition(
    id="lesion_max_diameter",
    version="1",
    title_de="Größter räumlicher Durchmesser der größten Läsion",
    title_en="Largest 3D diameter of the largest lesion",
    unit="mm",
    formula="largest distance between voxel corners of one 26-connected part, in any direction",
    source="IBSI L0JK (maximum 3D diameter), doi:10.1148/radiol.2020191145; on voxel corners",
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
    source="no paper: a count of connected parts, connectivity as IBSI, doi:10.1148/radiol.2020191145",
    compute_formula=_count,
    defaults={"smallest_voxels": 1},
    method="volumetric",
    applies_to=(*LESIONS, "white_matter_lesion", "lung_opacity"),
)
