"""Volumes and areas from voxel counts."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

BoolVolume = NDArray[np.bool_]


def voxel_volume_ml(affine: NDArray[Any]) -> float:
    """Volume of one voxel in ml.

    Notes
    -----
    |det| of the 3x3 part, never the product of header zooms: zooms miss shear, and files exist whose fourth
    zoom is 1000.
    """
    return abs(float(np.linalg.det(np.asarray(affine, dtype=np.float64)[:3, :3]))) / 1000.0


def volume_ml(mask: BoolVolume, affine: NDArray[Any]) -> float:
    """Volume of a mask in ml.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column).
    affine
        4x4, maps (slice, row, column, 1) to mm.

    Returns
    -------
    float
        0.0 for an empty mask; whether an empty mask has a volume at all is for the biomarker to say.
    """
    return int(np.count_nonzero(mask)) * voxel_volume_ml(affine)


def axial_area_mm2(mask: BoolVolume, affine: NDArray[Any]) -> NDArray[np.float64]:
    """Area of the mask in each slice in mm², shape (slices,)."""
    matrix = np.asarray(affine, dtype=np.float64)
    pixel_mm2 = float(np.linalg.norm(np.cross(matrix[:3, 1], matrix[:3, 2])))
    area_mm2: NDArray[np.float64] = np.count_nonzero(mask, axis=(1, 2)) * pixel_mm2
    return area_mm2


def largest_slice(mask: BoolVolume) -> int | None:
    """Index of the slice with the largest area (the first of equals); ``None`` for an empty mask."""
    counts = np.count_nonzero(mask, axis=(1, 2))
    return int(counts.argmax()) if counts.any() else None
