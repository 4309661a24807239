"""The canvas of one patient: density and labels, painted shape by shape with soft edges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from racoon.demo.anatomy.grid import Bool, Float, Grid, Labels

AIR_HU = -1000.0
FAR_MM = np.float32(1e3)
"""Signed distance where nothing was evaluated: outside."""

TABLE_STEP_MM = 0.5
TABLE_START_MM = -400.0
TABLE_LENGTH = 1600


class Tissue(IntEnum):
    """What a voxel belongs to; exactly one per voxel."""

    OUTSIDE = 0
    SKIN = 1
    SUBCUTANEOUS_FAT = 2
    SKELETAL_MUSCLE = 3
    VERTEBRA = 4
    OTHER_BONE = 5
    LUNG_RIGHT = 6
    LUNG_LEFT = 7
    AIRWAY = 8
    MEDIASTINUM = 9
    HEART = 10
    AORTA = 11
    OTHER_VESSEL = 12
    VISCERAL_FAT = 13
    LIVER = 14
    SPLEEN = 15
    KIDNEY_RIGHT = 16
    KIDNEY_LEFT = 17
    HOLLOW_ORGAN = 18


Box = tuple[slice, slice, slice]
Point = tuple[float, float, float]
"""(x, y, z) in the template's frame, mm."""


@dataclass
class Canvas:
    """Density (HU) and tissue of every voxel, with the template coordinates it stems from.

    ``x``, ``y``, ``z`` are template coordinates in mm at each voxel of the patient's grid, warp included, so
    that a shape is evaluated where the patient's voxel *comes from* and the painted anatomy is the warped
    one.
    """

    grid: Grid
    x: Float
    y: Float
    z: Float
    scale: tuple[float, float, float]
    reach_mm: tuple[float, float, float]
    hu: Float = field(init=False)
    tissue: Labels = field(init=False)
    _axes: tuple[Float, Float, Float] = field(init=False, repr=False)
    _height: npt.NDArray[np.intp] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        """Start with air everywhere."""
        self._axes = self.grid.axes()
        self.hu = np.full(self.grid.shape, AIR_HU, dtype=np.float32)
        self.tissue = np.zeros(self.grid.shape, dtype=np.uint8)
        height = (self.z - TABLE_START_MM) / TABLE_STEP_MM
        self._height = np.clip(height, 0, TABLE_LENGTH - 1).astype(np.intp)

    @property
    def everywhere(self) -> Box:
        """The box that is the whole grid."""
        return (slice(None), slice(None), slice(None))

    def get_box(self, low: Point, high: Point) -> Box:
        """Smallest index box sure to hold all voxels whose template coordinates lie between two corners."""
        slices = []
        for axis, kind in zip(self._axes, (2, 1, 0), strict=True):
            scale = self.scale[2 - kind]
            reach = self.reach_mm[2 - kind]
            start = np.searchsorted(axis, (low[kind] - reach) / scale)
            stop = np.searchsorted(axis, (high[kind] + reach) / scale, side="right")
            slices.append(slice(int(start), max(int(stop), int(start))))
        return (slices[0], slices[1], slices[2])

    def along_z(self, table: Mapping[int, float], box: Box | None = None) -> Float:
        """Evaluate a profile given at a few heights (template z in mm) at every voxel of a box."""
        heights = sorted(table)
        knots = TABLE_START_MM + TABLE_STEP_MM * np.arange(TABLE_LENGTH)
        values = np.interp(knots, heights, [table[h] for h in heights]).astype(np.float32)
        found: Float = values[self._height[box or self.everywhere]]
        return found

    def paint(
        self,
        distance: Float,
        value: float | Float,
        tissue: Tissue | None,
        box: Box | None = None,
        soft_mm: float | None = None,
    ) -> Bool:
        """Fill a shape with a density; the edge is as soft as one voxel, which is the partial volume.

        Parameters
        ----------
        distance
            Signed distance to the shape's surface, mm, negative inside; shape of the box.
        value
            Density in HU, one number or one per voxel of the box.
        tissue
            New label of the voxels inside; None leaves the labels.
        box
            Part of the grid; None is the whole.
        soft_mm
            Width of the edge.

        Returns
        -------
        numpy.ndarray
            The voxels inside, shape of the box.
        """
        where = box or self.everywhere
        if distance.size == 0:
            return np.zeros(distance.shape, dtype=bool)
        width = np.float32(soft_mm or 1.25 * self.grid.spacing_mm[2])
        fraction = np.clip(np.float32(0.5) - distance / width, 0, 1)
        density = self.hu[where]
        density += fraction * (value - density)
        inside: Bool = distance < 0
        if tissue is not None:
            self.tissue[where][inside] = tissue
        return inside
