"""Sizes, diameters, parts and distances of segmented structures, in mm and ml.

Every function crops to the structure's box first, so cost follows the structure and not the scan.
All of them take an affine instead of spacings: anisotropic, oblique and flipped grids need no special case.
Not here: densities (``science.biomarkers``) and drawing or editing masks.
"""

from racoon.science.geometry.box import Box, bounding_box
from racoon.science.geometry.diameters import (
    AxialDiameters,
    axial_diameters,
    equivalent_diameter_mm,
    max_diameter_mm,
)
from racoon.science.geometry.distances import SurfaceDistances, dice, jaccard, surface_distances
from racoon.science.geometry.parts import Parts, find_parts
from racoon.science.geometry.volume import axial_area_mm2, largest_slice, volume_ml, voxel_volume_ml

__all__ = [
    "AxialDiameters",
    "Box",
    "Parts",
    "SurfaceDistances",
    "axial_area_mm2",
    "axial_diameters",
    "bounding_box",
    "dice",
    "equivalent_diameter_mm",
    "find_parts",
    "jaccard",
    "largest_slice",
    "max_diameter_mm",
    "surface_distances",
    "volume_ml",
    "voxel_volume_ml",
]
