"""Volumes of labelled structures."""

from __future__ import annotations

import math

from racoon.science.biomarkers.acquisition import Context
from racoon.science.biomarkers.definition import Measured, Parameters, Region
from racoon.science.biomarkers.evidence import line_in_plane
from racoon.science.geometry import Surface, longest_line, surface_of


def voxel_volume(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Volume in mL."""
    return Measured(region.voxel_count * region.voxel_ml)


def _mesh(region: Region) -> Surface:
    """The mesh's figures, computed once for all definitions that need them."""
    if "surface" not in region.memo:
        region.memo["surface"] = surface_of(region.mask, region.affine)
    found: Surface = region.memo["surface"]
    return found


def surface_area(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Area of the mesh in cm²."""
    return Measured(_mesh(region).area_mm2 / 100.0)


def sphericity(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Likeness to a sphere, 1 for a sphere."""
    return Measured(_mesh(region).sphericity)


def spatial_diameter(region: Region, _context: Context, _parameters: Parameters) -> Measured:
    """Largest distance between voxel corners, in mm."""
    found = longest_line(region.mask, region.affine)
    if found is None:
        return Measured(math.nan, "empty_mask")
    return Measured(found[0], evidence=line_in_plane(found[1]))
