"""Parallel planes at uneven heights or sideways shifts, brought onto one even, upright grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Plane = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Regridded:
    """Planes on an even grid.

    Parameters
    ----------
    voxels
        Array (slice, row, column), float32.
    first_row, first_column
        Where the grid's corner lies, in pixels from the corner of the first plane; zero or negative.
    outside
        Share of voxels that no plane covers; they hold the fill value.
    """

    voxels: npt.NDArray[np.float32]
    first_row: int
    first_column: int
    outside: float


def regrid_planes(
    load: Callable[[int], npt.NDArray[np.generic]],
    heights_mm: Floats,
    offsets_px: Floats,
    *,
    step_mm: float,
    fill: float,
) -> Regridded:
    """Interpolate linearly between parallel planes of one size.

    Parameters
    ----------
    load
        Returns plane ``i``, array (row, column); asked for in order, each once or twice.
    heights_mm
        Height of each plane along the common normal, ascending, shape (n,), n >= 2.
    offsets_px
        Sideways place of each plane's corner relative to the first one, in (rows, columns), shape (n, 2).
    step_mm
        Distance between the slices of the result; the first one is at the first plane.
    fill
        Value where no plane has anything.

    Returns
    -------
    Regridded
        Large enough for all planes wherever they lie.

    Notes
    -----
    A value that is linear in space is reproduced exactly: trilinear interpolation, first within two planes, then
    between them at the same place in space.  A gantry tilt is a shift that grows with the height.
    """
    if heights_mm.size < 2 or not (np.diff(heights_mm) > 0).all():
        raise ValueError("regridding needs two or more planes at ascending heights")
    lowest = np.floor(offsets_px.min(axis=0) + 1e-6).astype(int)
    extra = np.ceil(offsets_px.max(axis=0) - lowest - 1e-6).astype(int)
    rows, columns = load(0).shape
    shape = (rows + int(extra[0]), columns + int(extra[1]))
    count = int(np.floor((heights_mm[-1] - heights_mm[0]) / step_mm + 1e-6)) + 1
    voxels = np.empty((count, *shape), np.float32)
    # NaN marks what a plane does not cover, until the very end.
    placed: dict[int, Plane] = {}
    outside = 0
    for index in range(count):
        height = heights_mm[0] + index * step_mm
        above = int(np.clip(np.searchsorted(heights_mm, height, side="right"), 1, heights_mm.size - 1))
        below = above - 1
        placed = {
            plane: placed[plane]
            if plane in placed
            else _place(load(plane), offsets_px[plane] - lowest, shape)
            for plane in (below, above)
        }
        weight = np.float32((height - heights_mm[below]) / (heights_mm[above] - heights_mm[below]))
        weight = np.clip(weight, 0, 1)
        blended = _blend(placed[below], placed[above], float(weight))
        is_outside = np.isnan(blended)
        outside += int(is_outside.sum())
        voxels[index] = np.where(is_outside, np.float32(fill), blended)
    return Regridded(voxels, int(lowest[0]), int(lowest[1]), outside / voxels.size)


def _blend(below: Plane, above: Plane, weight: float) -> Plane:
    # At a plane itself the other one must not blot it out where it has nothing.
    if weight < 1e-6:
        return below
    if weight > 1 - 1e-6:
        return above
    return below * np.float32(1 - weight) + above * np.float32(weight)


def _place(plane: npt.NDArray[np.generic], offset: Floats, shape: tuple[int, int]) -> Plane:
    """Put a plane at a fractional place, bilinear; NaN around it."""
    values = plane.astype(np.float32)
    starts = []
    for axis in (0, 1):
        start = int(np.floor(offset[axis] + 1e-6))
        fraction = np.float32(offset[axis] - start)
        if fraction > 1e-6:
            first = np.take(values, range(values.shape[axis] - 1), axis)
            second = np.take(values, range(1, values.shape[axis]), axis)
            # A grid point between two pixels, `fraction` before the second one's own place.
            values = first * fraction + second * (1 - fraction)
            start += 1
        starts.append(start)
    target = np.full(shape, np.nan, np.float32)
    target[starts[0] : starts[0] + values.shape[0], starts[1] : starts[1] + values.shape[1]] = values
    return target
