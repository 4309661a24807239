"""The smallest box around a structure, in voxel indices."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BoolVolume = NDArray[np.bool_]


@dataclass(frozen=True)
class Box:
    """Half-open index ranges along (slice, row, column)."""

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index expression that cuts the box out of an array."""
        first, second, third = (slice(low, high) for low, high in zip(self.start, self.stop, strict=True))
        return first, second, third

    @property
    def shape(self) -> tuple[int, int, int]:
        """Number of voxels along each axis."""
        first, second, third = (high - low for low, high in zip(self.start, self.stop, strict=True))
        return first, second, third

    def grown(self, voxels: int, shape: tuple[int, ...]) -> Box:
        """Return the box with a margin, kept inside an array of the given shape."""
        low = [max(0, value - voxels) for value in self.start]
        high = [min(size, value + voxels) for value, size in zip(self.stop, shape, strict=True)]
        return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def union(first: Box, second: Box) -> Box:
    """Return the smallest box around two boxes."""
    low = [min(pair) for pair in zip(first.start, second.start, strict=True)]
    high = [max(pair) for pair in zip(first.stop, second.stop, strict=True)]
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))


def shifted_affine(affine: NDArray[np.float64], box: Box) -> NDArray[np.float64]:
    """Return the affine of the cropped array: same axes, origin at the box's first voxel."""
    moved = np.array(affine, dtype=np.float64)
    moved[:3, 3] += moved[:3, :3] @ np.asarray(box.start, dtype=np.float64)
    return moved


def bounding_box(mask: BoolVolume) -> Box | None:
    """Find the smallest box that holds every true voxel.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column).

    Returns
    -------
    Box or None
        ``None`` for an empty mask.
    """
    low, high = [], []
    part = mask
    # Slices first: an empty slice is skipped at memory speed, and what remains is small.
    for axis in range(3):
        others = tuple(other for other in range(3) if other != axis)
        hits = np.flatnonzero(part.any(axis=others))
        if hits.size == 0:
            return None
        first, last = int(hits[0]), int(hits[-1]) + 1
        low.append(first)
        high.append(last)
        part = part[tuple(slice(first, last) if other == axis else slice(None) for other in range(3))]
    return Box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
