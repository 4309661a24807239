"""The surface of a mask as a mesh: marching cubes at the level 0.5, without ever building the mesh.

In a binary image every cube of eight neighbouring voxel centres has one of 256 patterns, and each pattern cuts
the cube in the same triangles.  Area and enclosed volume are therefore sums over a histogram of patterns; only
cubes at the surface are looked at.  The triangles of each pattern are derived here, not copied from a table:
the cut edges of each face are joined (two inside corners in the diagonal of a face stay separate), the joined
edges form closed polygons, and each polygon is cut into the triangles of largest area, which is what the tables in
use do and what the reference values of IBSI contain; equally large choices are averaged, so that flips and turns of
the grid change nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry.box import bounding_box, shifted_affine

Floats = NDArray[np.float64]

_CORNERS = np.array([[bit >> 2 & 1, bit >> 1 & 1, bit & 1] for bit in range(8)], dtype=np.int64)
_FACES = (
    (0, 1, 3, 2),
    (4, 6, 7, 5),
    (0, 4, 5, 1),
    (2, 3, 7, 6),
    (0, 2, 6, 4),
    (1, 5, 7, 3),
)
"""Corners of each face, counter-clockwise when seen from outside the cube."""


@dataclass(frozen=True)
class Surface:
    """Mesh measures of a mask (IBSI C0JK, RNU0).

    Parameters
    ----------
    area_mm2
        Area of the triangles.
    volume_mm3
        Volume they enclose.
    """

    area_mm2: float
    volume_mm3: float

    @property
    def sphericity(self) -> float:
        """Area of the sphere of the same volume over the area, 1 for a sphere (IBSI QCFX)."""
        if not self.area_mm2 > 0.0:
            return math.nan
        return float((36.0 * math.pi * self.volume_mm3**2) ** (1.0 / 3.0) / self.area_mm2)


@cache
def _triangles() -> tuple[tuple[Floats, Floats], ...]:
    """Triangles of each of the 256 patterns, shape (n, 3, 3) in index coordinates of the cube, and their weights."""
    return tuple(_pattern_triangles(pattern) for pattern in range(256))


def _cuts(first: int, last: int) -> list[list[tuple[int, int, int]]]:
    """Every way to cut the polygon with the corners first … last into triangles."""
    if last - first < 2:
        return [[]]
    return [
        [*before, *after, (first, middle, last)]
        for middle in range(first + 1, last)
        for before in _cuts(first, middle)
        for after in _cuts(middle, last)
    ]


def _largest_cuts(loop: Floats) -> tuple[Floats, Floats]:
    """Triangles of the cuts with the largest area, and the weight that averages equal ones."""
    cuts = [loop[np.array(cut)] for cut in _cuts(0, len(loop) - 1)]
    areas = [
        float(np.linalg.norm(np.cross(cut[:, 1] - cut[:, 0], cut[:, 2] - cut[:, 0]), axis=1).sum())
        for cut in cuts
    ]
    best = [cut for cut, area in zip(cuts, areas, strict=True) if area > max(areas) - 1e-9]
    triangles = np.concatenate(best)
    return triangles, np.full(len(triangles), 1.0 / len(best))


def _pattern_triangles(pattern: int) -> tuple[Floats, Floats]:
    following: dict[frozenset[int], frozenset[int]] = {}
    for face in _FACES:
        inside = [bool(pattern >> corner & 1) for corner in face]
        # Going round a face, the surface enters where outside turns to inside and leaves at the next turn;
        # joining each entry with the leaving edge that follows it keeps diagonal inside corners apart.
        turns = [
            (position, inside[position])
            for position in range(4)
            if inside[position] != inside[(position + 1) % 4]
        ]
        for position, was_inside in turns:
            if was_inside:
                continue
            leave = next(
                other
                for step in range(1, 5)
                for other in [(position + step) % 4]
                if inside[other] and not inside[(other + 1) % 4]
            )
            entry_edge = frozenset((face[position], face[(position + 1) % 4]))
            following[frozenset((face[leave], face[(leave + 1) % 4]))] = entry_edge
    loops = []
    while following:
        start, edge = next(iter(following.items()))
        loop = [start]
        del following[start]
        while edge != start:
            loop.append(edge)
            edge = following.pop(edge)
        loops.append(_largest_cuts(np.array([_CORNERS[list(edge)].mean(axis=0) for edge in loop])))
    if not loops:
        return np.zeros((0, 3, 3)), np.zeros(0)
    return np.concatenate([loop[0] for loop in loops]), np.concatenate([loop[1] for loop in loops])


def surface_of(mask: NDArray[np.bool_], affine: NDArray[Any]) -> Surface:
    """Measure area and enclosed volume of the mesh around a mask.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column); outside the array is outside the mask.
    affine
        4x4, maps (slice, row, column, 1) to mm.

    Returns
    -------
    Surface
        NaN for an empty mask.

    Notes
    -----
    Zwanenburg et al. 2020 (IBSI), doi:10.1148/radiol.2020191145.
    """
    box = bounding_box(mask)
    if box is None:
        return Surface(math.nan, math.nan)
    matrix = np.asarray(affine, dtype=np.float64)[:3, :3]
    counts, places = _histogram(mask[box.slices])
    area, volume = 0.0, 0.0
    for pattern in np.flatnonzero(counts):
        triangles, weights = _triangles()[pattern]
        if triangles.size == 0:
            continue
        first, second, third = (triangles[:, corner] for corner in range(3))
        normals = np.cross((second - first) @ matrix.T, (third - first) @ matrix.T)
        area += float(counts[pattern]) * float(weights @ np.linalg.norm(normals, axis=1)) / 2.0
        # det(p + a, p + b, p + c) = det(a, b, c) + p · (b - a) x (c - a), so sums of places are enough.
        own = np.einsum("i,ij,ij->", weights, first, np.cross(second, third))
        flat = weights @ np.cross(second - first, third - first)
        volume += (float(counts[pattern]) * float(own) + float(places[pattern] @ flat)) / 6.0
    return Surface(area, abs(volume) * abs(float(np.linalg.det(matrix))))


def _histogram(crop: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats]:
    """Count the cubes of each pattern and sum up their places; only surface cubes are visited."""
    padded = np.pad(crop, 1).view(np.uint8)
    counts = np.zeros(256, np.int64)
    places = np.zeros((256, 3), np.float64)
    shape = tuple(size - 1 for size in padded.shape)
    below = _squares(padded[0])
    for index in range(shape[0]):
        # One layer of cubes at a time: memory follows two slices and not the volume.
        above = _squares(padded[index + 1])
        codes = below | (above << 4)
        below = above
        rows, columns = np.nonzero((codes != 0) & (codes != 255))
        found = codes[rows, columns]
        layer = np.bincount(found, minlength=256)
        counts += layer
        places[:, 0] += layer * index
        places[:, 1] += np.bincount(found, weights=rows, minlength=256)
        places[:, 2] += np.bincount(found, weights=columns, minlength=256)
    return counts, places


def _squares(plane: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Number the squares of one slice by which of their four corners lie inside: the lower half of a cube's pattern."""
    codes = plane[:-1, :-1].copy()
    for bit, (_, row, column) in enumerate(_CORNERS[1:4], start=1):
        codes |= plane[row : row + codes.shape[0], column : column + codes.shape[1]] << bit
    return codes


def mesh_vertices(mask: NDArray[np.bool_], affine: NDArray[Any]) -> Floats:
    """Vertices of the mesh in mm, shape (n, 3): the middle between each inside voxel and an outside neighbour."""
    box = bounding_box(mask)
    if box is None:
        return np.zeros((0, 3))
    matrix = shifted_affine(np.asarray(affine, dtype=np.float64), box)
    padded = np.pad(mask[box.slices], 1)
    points = []
    for axis in range(3):
        low = [slice(None)] * 3
        high = [slice(None)] * 3
        low[axis], high[axis] = slice(None, -1), slice(1, None)
        where = np.argwhere(padded[tuple(low)] != padded[tuple(high)]).astype(np.float64)
        where[:, axis] += 0.5
        points.append(where - 1.0)
    world: Floats = np.concatenate(points) @ matrix[:3, :3].T + matrix[:3, 3]
    return world
