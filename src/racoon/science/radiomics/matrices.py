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
        Levels, one-dimensional, in the smallest unsigned type that holds them.
    shape
        Shape with the rim.
    inside
        Flat places of the voxels of the region.
    count
        Number of grey levels.
    """

    flat: NDArray[Any]
    shape: tuple[int, int, int]
    inside: Ints
    count: int

    @classmethod
    def of(cls, levels: Ints, count: int) -> Grid:
        """Pad levels (slice, row, column)."""
        # Small numbers stay in the processor's cache: neighbours are looked up a hundred times.
        padded = np.pad(levels.astype(np.min_scalar_type(count)), 1)
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
    size = grid.count + 1
    cube = grid.flat.reshape(grid.shape)
    own = cube[1:-1, 1:-1, 1:-1]
    other = cube[tuple(slice(1 + step, cube.shape[axis] - 1 + step) for axis, step in enumerate(direction))]
    wide = np.min_scalar_type(size * size)
    # Pairs with the outside are counted too, in the row and column of level 0, which is then left out.
    if direction[0] != 0:
        counts = _pairs(own, other, size, wide)
        return {0: counts + counts.T} if counts.any() else {}
    found = {}
    for index in range(own.shape[0]):
        counts = _pairs(own[index], other[index], size, wide)
        if counts.any():
            found[index] = counts + counts.T
    return found


def _pairs(own: NDArray[Any], other: NDArray[Any], size: int, wide: np.dtype[Any]) -> NDArray[np.float64]:
    codes = own.astype(wide) * wide.type(size) + other
    counts = np.bincount(codes.ravel(), minlength=size * size).reshape(size, size)
    return counts[1:, 1:].astype(np.float64)


_LARGEST_TABLE = 1 << 24
"""Combinations of level and size up to which a table is faster than sorting."""


@dataclass(frozen=True, eq=False)
class Entries:
    """Runs, zones or neighbourhoods: a level, a size and a slice each.

    Parameters
    ----------
    counts
        How often each occurs; without it, once.
    """

    levels: Ints
    sizes: Ints
    slices: Ints
    counts: Ints | None = None

    def of_slice(self, index: int) -> Entries:
        """Those of one slice."""
        kept = self.slices == index
        counts = None if self.counts is None else self.counts[kept]
        return Entries(self.levels[kept], self.sizes[kept], self.slices[kept], counts)

    def counted(self) -> Entries:
        """Put equal ones together; slices are forgotten."""
        if self.levels.size == 0:
            return self
        width = int(self.sizes.max()) + 1
        codes = self.levels * width + self.sizes
        if (int(self.levels.max()) + 1) * width <= _LARGEST_TABLE:
            table = np.bincount(codes, weights=self.counts)
            present = np.flatnonzero(table)
            counts = table[present].astype(np.int64)
        else:
            present, place = np.unique(codes, return_inverse=True)
            counts = np.bincount(place, weights=self.counts).astype(np.int64)
        return Entries(present // width, present % width, np.zeros(present.size, np.int64), counts)


def join(parts: list[Entries]) -> Entries:
    """Put entries together."""
    return Entries(
        np.concatenate([part.levels for part in parts]),
        np.concatenate([part.sizes for part in parts]),
        np.concatenate([part.slices for part in parts]),
        None
        if any(part.counts is None for part in parts)
        else np.concatenate([part.counts for part in parts if part.counts is not None]),
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
    return Entries(grid.flat[starts].astype(np.int64), lengths, grid.slices_of(starts))


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
    total = np.zeros(own.size, np.int32)
    count = np.zeros(own.size, np.uint8)
    same = np.ones(own.size, np.uint8)
    for direction in DIRECTIONS_2D if by_slice else DIRECTIONS_3D:
        for step in (grid.step(direction), -grid.step(direction)):
            other = grid.flat[grid.inside + step]
            total += other
            count += other > 0
            same += other == own
    mean = total / np.maximum(count, 1)
    difference = np.where(count > 0, np.abs(own - mean), 0.0)
    return Neighbourhoods(
        own.astype(np.int64),
        grid.slices_of(grid.inside),
        count.astype(np.int64),
        difference,
        same.astype(np.int64),
    )
