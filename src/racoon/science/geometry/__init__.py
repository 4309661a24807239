"""Sizes, diameters, parts and distances of segmented structures, in mm and ml.

Every function crops to the structure's box first, so cost follows the structure and not the scan.
All of them take an affine instead of spacings: anisotropic, oblique and flipped grids need no special case.
``drawn`` measures what a person drew on one image.  Not here: densities (``science.biomarkers``) and editing masks.
"""

from racoon.science.geometry.box import Box, bounding_box
from racoon.science.geometry.cut import Cut, cut_across, sample_at
from racoon.science.geometry.diameters import (
    AxialDiameters,
    axial_diameters,
    equivalent_diameter_mm,
    longest_line,
    max_diameter_mm,
)
from racoon.science.geometry.distances import SurfaceDistances, dice, jaccard, surface_distances
from racoon.science.geometry.drawn import (
    ImagePlane,
    PixelStatistics,
    Point,
    angle_deg,
    ellipse_area_mm2,
    ellipse_pixels,
    length_mm,
    pixel_statistics,
    polygon_area_mm2,
    polygon_pixels,
    two_axes_mm,
)
from racoon.science.geometry.parts import Parts, find_parts
from racoon.science.geometry.surface import Surface, mesh_vertices, surface_of
from racoon.science.geometry.thickness import Thickness, thickness_between
from racoon.science.geometry.tube import Centreline, Section, Tube, centreline_through, plane_axes
from racoon.science.geometry.volume import axial_area_mm2, largest_slice, volume_ml, voxel_volume_ml

__all__ = [
    "AxialDiameters",
    "Box",
    "Centreline",
    "Cut",
    "ImagePlane",
    "Parts",
    "PixelStatistics",
    "Point",
    "Section",
    "Surface",
    "SurfaceDistances",
    "Thickness",
    "Tube",
    "angle_deg",
    "axial_area_mm2",
    "axial_diameters",
    "bounding_box",
    "centreline_through",
    "cut_across",
    "dice",
    "ellipse_area_mm2",
    "ellipse_pixels",
    "equivalent_diameter_mm",
    "find_parts",
    "jaccard",
    "largest_slice",
    "length_mm",
    "longest_line",
    "max_diameter_mm",
    "mesh_vertices",
    "pixel_statistics",
    "plane_axes",
    "polygon_area_mm2",
    "polygon_pixels",
    "sample_at",
    "surface_distances",
    "surface_of",
    "thickness_between",
    "two_axes_mm",
    "volume_ml",
    "voxel_volume_ml",
]
