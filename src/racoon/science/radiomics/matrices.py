"""Texture matrices as lists of entries: pairs, runs, zones, distance zones, neighbourhoods.

Grey levels are a padded array with 0 outside the region, so a neighbour is a fixed step in memory and nothing
ever falls off the edge.  Every entry knows its slice: the aggregations join them afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cc3d
import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Direction = tuple[int, int, int]

DIRECTIONS_3D: tuple[Direction, ...] = tuple(
    (a, b, c) for a in (0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if (a, b, c) > (0, 0, 0)
)
DIRECTIONS_2D: tuple[Direction, ...] = tuple(item for item in DIRECTIONS_3D if item[0] == 0)


@dataclass(frozen=True, eq=False)
class Grid:
    """Grey levels with a rim of 0, flat.

    Parameters
    ----------
    flat
        Levels, one-dimensional.
    shape
        Shape with the rim.
    inside
        Flat places of the voxels of the region.
    count
        Number of grey levels.
    """

    flat: Ints
    shape: tuple[int, int, int]
    inside: Ints
    count: int

    @classmethod
    def of(cls, levels: Ints, count: int) -> Grid:
        """Pad levels (slice, row, column)."""
        padded = np.pad(levels, 1)
        flat = padded.ravel()
        slices, rows, columns = padded.shape
        return cls(flat, (slices, rows, columns), np.flatnonzero(flat), count)

    def step(self, direction: Direction) -> int:
        """Distance in memory to the neighbour."""
        return (direction[0] * self.shape[1] + direction[1]) * self.shape[2] + direction[2]

    def slices_of(self, places: Ints) -> Ints:
        """Slice (without the rim, from 0) of flat places."""
        return places // (self.shape[1] * self.shape[2]) - 1

    @property
    def slice_count(self) -> int:
        """Number of slices without the rim."""
        return self.shape[0] - 2


def cooccurrence(grid: Grid, direction: Direction) -> dict[int, NDArray[np.float64]]:
    """Symmetric co-occurrence counts by slice for a direction within slices, else under the key 0.

    Returns
    -------
    dict
        Slice to array (levels, levels); slices without pairs are left out.
    """
    other = grid.flat[grid.inside + grid.step(direction)]
    paired = other > 0
    places = grid.inside[paired]
    size = grid.count
    codes = (grid.flat[places] - 1) * size + other[paired] - 1
    if direction[0] != 0:
        counts = np.bincount(codes, minlength=size * size).reshape(size, size).astype(np.float64)
        return {0: counts + counts.T} if places.size else {}
    slices = grid.slices_of(places)
    found = {}
    for index in np.unique(slices):
        part = (
            np.bincount(codes[slices == index], minlength=size * size).reshape(size, size).astype(np.float64)
        )
        found[int(index)] = part + part.T
    return found


@dataclass(frozen=True, eq=False)
class Entries:
    """Runs, zones or neighbourhoods: a level, a size and a slice each."""

    levels: Ints
    sizes: Ints
    slices: Ints

    def of_slice(self, index: int) -> Entries:
        """Those of one slice."""
        kept = self.slices == index
        return Entries(self.levels[kept], self.sizes[kept], self.slices[kept])


def join(parts: list[Entries]) -> Entries:
    """Put entries together."""
    return Entries(
        np.concatenate([part.levels for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.slices for part in parts]),
    )


def runs(grid: Grid, direction: Direction) -> Entries:
    """Runs of equal level along a direction."""
    step = grid.step(direction)
    starts = grid.inside[grid.flat[grid.inside - step] != grid.flat[grid.inside]]
    lengths = np.ones(starts.size, np.int64)
    going = np.arange(starts.size)
    place = starts.copy()
    while going.size:
        ahead = place + step
        same = grid.flat[ahead] == grid.flat[place]
        going, place = going[same], ahead[same]
        lengths[going] += 1
    return Entries(grid.flat[starts], lengths, grid.slices_of(starts))


def zones(levels: Ints, distances: Ints, *, by_slice: bool) -> tuple[Entries, Entries]:
    """Zones of equal level with their size, and with their smallest distance to the border.

    Parameters
    ----------
    levels, distances
        Arrays (slice, row, column): grey level, 0 outside; steps to the border, 1 at it.
    by_slice
        Connect within slices only (8 neighbours instead of 26).
    """
    found: list[tuple[Ints, Ints, Ints, Ints]] = []
    layers: list[Any] = list(range(levels.shape[0])) if by_slice else [slice(None)]
    for layer in layers:
        part = levels[layer]
        if not part.any():
            continue
        labels = np.asarray(
            cc3d.connected_components(
                np.ascontiguousarray(part, dtype=np.int32), connectivity=8 if by_slice else 26
            )
        ).astype(np.int64)
        flat = labels.ravel()
        places = np.flatnonzero(flat)
        sizes = np.bincount(flat)[1:]
        level = np.zeros(sizes.size, np.int64)
        level[flat[places] - 1] = part.ravel()[places]
        near = np.full(sizes.size, np.iinfo(np.int64).max)
        np.minimum.at(near, flat[places] - 1, distances[layer].ravel()[places])
        index = np.full(sizes.size, layer if by_slice else 0)
        found.append((level, sizes, near, index))
    level, sizes, near, index = (np.concatenate(column) for column in zip(*found, strict=True))
    return Entries(level, sizes, index), Entries(level, near, index)


def border_distances(mask: NDArray[np.bool_], *, by_slice: bool) -> Ints:
    """Steps through faces to the outside: 1 at the border (the edge of the array is a border too)."""
    from scipy import ndimage  # noqa: PLC0415 - only distance zones need it

    if by_slice:
        layers = [
            ndimage.distance_transform_cdt(np.pad(layer, 1), metric="taxicab")[1:-1, 1:-1] for layer in mask
        ]
        return np.asarray(layers, dtype=np.int64)
    distances = ndimage.distance_transform_cdt(np.pad(mask, 1), metric="taxicab")[1:-1, 1:-1, 1:-1]
    return np.asarray(distances, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Neighbourhoods:
    """What each voxel sees around it.

    Parameters
    ----------
    levels, slices
        Of the voxel.
    neighbours
        Number of neighbours in the region.
    difference
        Absolute difference to their mean level; 0 without neighbours.
    dependence
        Neighbours of the same level, plus one for the voxel itself.
    """

    levels: Ints
    slices: Ints
    neighbours: Ints
    difference: NDArray[np.float64]
    dependence: Ints


def neighbourhoods(grid: Grid, *, by_slice: bool) -> Neighbourhoods:
    """Look at the 26 neighbours of each voxel, or the 8 within its slice."""
    own = grid.flat[grid.inside]
    total = np.zeros(own.size, np.int64)
    count = np.zeros(own.size, np.int64)
    same = np.ones(own.size, np.int64)
    for direction in DIRECTIONS_2D if by_slice else DIRECTIONS_3D:
        for step in (grid.step(direction), -grid.step(direction)):
            other = grid.flat[grid.inside + step]
            total += other
            count += other > 0
            same += other == own
    mean = total / np.maximum(count, 1)
    difference = np.where(count > 0, np.abs(own - mean), 0.0)
    return Neighbourhoods(own, grid.slices_of(grid.inside), count, difference, same)
