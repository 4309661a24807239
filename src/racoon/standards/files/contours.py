"""RTSTRUCT contours as masks (PS3.3 C.8.8.6).

A voxel belongs to a region when its centre lies inside an odd number of the slice's contours, so inner contours
cut holes; this is the rule radiotherapy systems mean with "XOR".
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from racoon.errors import Defect

PLANE_TOLERANCE = 0.5
"""A contour belongs to the nearest slice; farther away than half a slice it has none."""


class ContourMismatch(Defect):
    """Contours that do not lie in the slices of the image."""

    code = "files.contour_mismatch"


def read_contours(
    dataset: Dataset, affine: NDArray[np.float64], shape: tuple[int, int, int]
) -> Iterator[tuple[int, str, NDArray[np.bool_]]]:
    """Yield number, name and mask of each region, one at a time.

    Parameters
    ----------
    dataset
        RT Structure Set.
    affine, shape
        Grid of the image: (slice, row, column, 1) to LPS in mm.

    Raises
    ------
    ContourMismatch
        If a contour is not parallel to the slices or lies outside the stack.
    """
    names = {
        int(item.ROINumber): str(item.get("ROIName") or "")
        for item in dataset.get("StructureSetROISequence") or ()
    }
    inverse = np.linalg.inv(affine)
    for region in dataset.get("ROIContourSequence") or ():
        number = int(region.ReferencedROINumber)
        mask = np.zeros(shape, bool)
        for contour in region.get("ContourSequence") or ():
            if str(contour.get("ContourGeometricType") or "") != "CLOSED_PLANAR":
                continue
            world = np.asarray(contour.ContourData, dtype=np.float64).reshape(-1, 3)
            if len(world) < 3:
                continue
            points = world @ inverse[:3, :3].T + inverse[:3, 3]
            index = round(float(points[:, 0].mean()))
            if np.abs(points[:, 0] - index).max() > PLANE_TOLERANCE or not 0 <= index < shape[0]:
                raise ContourMismatch(
                    "A contour does not lie in a slice of the image; is it another series' RTSTRUCT?",
                    details={"region": names.get(number, "")},
                )
            toggle_polygon(mask[index], points[:, 1], points[:, 2])
        yield number, names.get(number, ""), mask


def toggle_polygon(plane: NDArray[np.bool_], rows: NDArray[np.float64], columns: NDArray[np.float64]) -> None:
    """Flip the voxels whose centres lie inside a polygon (crossing number along each row)."""
    low = max(0, int(np.ceil(rows.min())))
    high = min(plane.shape[0] - 1, int(np.floor(rows.max())))
    next_rows, next_columns = np.roll(rows, -1), np.roll(columns, -1)
    for row in range(low, high + 1):
        hit = (rows <= row) != (next_rows <= row)
        share = (row - rows[hit]) / (next_rows[hit] - rows[hit])
        crossings = np.sort(columns[hit] + share * (next_columns[hit] - columns[hit]))
        for left, right in zip(crossings[::2], crossings[1::2], strict=False):
            # Half open, so that polygons that share an edge never share a voxel.
            first = max(0, int(np.ceil(left)))
            last = min(plane.shape[1], int(np.ceil(right)))
            plane[row, first:last] ^= True
