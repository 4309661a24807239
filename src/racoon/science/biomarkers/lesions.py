"""Size and number of lesions: each connected part of the mask is one lesion, the largest counts."""

from __future__ import annotations

import math

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Measured, Parameters, Region
from racoon.science.biomarkers.evidence import line_in_plane
from racoon.science.geometry import AxialDiameters, axial_diameters, find_parts, longest_line


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


def long_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Longest line in an axial slice, in mm."""
    found = _largest(region, parameters)
    if found is None:
        return Measured(math.nan, "empty_mask")
    return Measured(found.long_mm, "", _slice(region, found), {"lines_mm": [found.long_ends_mm]})


def short_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Longest line perpendicular to the long axis in its slice, in mm."""
    found = _largest(region, parameters)
    if found is None:
        return Measured(math.nan, "empty_mask")
    return Measured(found.short_mm, "", _slice(region, found), {"lines_mm": [found.short_ends_mm]})


def mean_axis(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Mean of long and short axis, in mm."""
    found = _largest(region, parameters)
    if found is None:
        return Measured(math.nan, "empty_mask")
    lines = {"lines_mm": [found.long_ends_mm, found.short_ends_mm]}
    return Measured((found.long_mm + found.short_mm) / 2.0, "", _slice(region, found), lines)


def spatial_diameter(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Longest line in space within one part, in mm."""
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    found = [longest_line(parts.mask(number), region.affine) for number in range(1, parts.count + 1)]
    longest = max((item for item in found if item), key=lambda item: item[0], default=None)
    if longest is None:
        return Measured(math.nan, "empty_mask")
    return Measured(longest[0], evidence=line_in_plane(longest[1]))


def part_count(region: Region, _context: Context, parameters: Parameters) -> Measured:
    """Number of connected parts that are large enough."""
    parts = find_parts(region.mask, smallest_voxels=int(parameters["smallest_voxels"]))
    return Measured(float(parts.count)) if parts.count else Measured(math.nan, "empty_mask")
