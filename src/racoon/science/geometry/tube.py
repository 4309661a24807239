"""Tubes: a centreline through a vessel or airway, and sections perpendicular to it.

A diameter taken in an axial slice of an oblique vessel is too large by 1/cos of its tilt; here every section is
perpendicular to the centreline.  Where it fails: masks with a hole through them, and tubes shorter than wide.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry.box import bounding_box, shifted_affine
from racoon.science.geometry.parts import find_parts

Floats = NDArray[np.float64]

Ends = tuple[tuple[float, float, float], tuple[float, float, float]]
"""The two ends of a line, LPS in mm."""

_GRAPH_VOXELS = 60_000
"""Above this the path is searched on every second voxel; smoothing and recentring follow on the full mask."""

_FINE, _COARSE = 160, 30
"""Samples of a section from its middle to its border: to measure, and to find its middle only."""


@dataclass(frozen=True, eq=False)
class Centreline:
    """Points along the middle of a tube, one millimetre apart.

    Parameters
    ----------
    points_mm
        LPS, shape (n, 3), from the end with the larger z (towards the head) to the other.
    tangents
        Unit vectors, shape (n, 3).
    """

    points_mm: Floats
    tangents: Floats

    @property
    def length_mm(self) -> float:
        """Length along the line."""
        return float(np.linalg.norm(np.diff(self.points_mm, axis=0), axis=1).sum())


@dataclass(frozen=True)
class Section:
    """A cut perpendicular to a centreline.

    Parameters
    ----------
    area_mm2
        Area of the part that holds the centre.
    equivalent_mm
        Diameter of the circle of the same area.
    largest_mm, smallest_mm
        Largest and smallest distance between parallel lines that touch the section.
    centre_mm
        Its middle, LPS.
    is_open
        True when the section reaches the border of the image: the tube goes on outside.
    largest_ends_mm, smallest_ends_mm
        Ends of lines through its middle as long as both distances and in their directions, LPS.
    """

    area_mm2: float
    equivalent_mm: float
    largest_mm: float
    smallest_mm: float
    centre_mm: tuple[float, float, float]
    is_open: bool
    largest_ends_mm: Ends
    smallest_ends_mm: Ends


def centreline_through(points_mm: Floats) -> Centreline:
    """Lay a smooth line through places that a person marked.

    Parameters
    ----------
    points_mm
        LPS, shape (n, 3), at least two that differ, in their order along the line.

    Returns
    -------
    Centreline
        A natural cubic spline over the distances between the places, which it meets; it keeps their direction.

    Raises
    ------
    ValueError
        If fewer than two places differ.
    """
    from scipy.interpolate import CubicSpline  # noqa: PLC0415 - a tenth of a second that only planes need

    points = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    points = points[np.concatenate([[True], steps > 1e-6])]
    if len(points) < 2:
        raise ValueError("a line needs two places")
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(points, axis=0), axis=1))])
    fine = np.linspace(0.0, along[-1], max(8, math.ceil(along[-1] * 10)))
    curve = CubicSpline(along, points, bc_type="natural")(fine) if len(points) > 2 else points
    even = _evenly(curve)
    return Centreline(even, _tangents(even))


class Tube:
    """A mask looked at as a tube; only its largest part counts.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column).
    affine
        4x4, maps (slice, row, column, 1) to LPS in mm.
    """

    def __init__(self, mask: NDArray[np.bool_], affine: NDArray[Any]) -> None:
        parts = find_parts(mask, connectivity=26)
        box = parts.box
        crop = parts.mask(1) if box is not None else np.zeros((0, 0, 0), bool)
        inner = bounding_box(crop) if box is not None else None
        self.is_empty = box is None or inner is None
        if box is None or inner is None:
            return
        # A rim of background: sections that leave the box see where the tube ends.
        self._field = np.pad(crop[inner.slices], 2).astype(np.float32)
        matrix = shifted_affine(shifted_affine(np.asarray(affine, dtype=np.float64), box), inner)
        matrix[:3, 3] -= matrix[:3, :3] @ np.full(3, 2.0)
        self._affine = matrix
        self._inverse = np.linalg.inv(matrix)
        first = [outer + own - 2 for outer, own in zip(box.start, inner.start, strict=True)]
        self._low = np.array([-start for start in first], dtype=np.float64)
        self._high = self._low + np.array(mask.shape, dtype=np.float64) - 1.0

    def centreline(self, smoothing_mm: float = 6.0) -> Centreline | None:
        """Find the line through the middle from one end to the other.

        Parameters
        ----------
        smoothing_mm
            Standard deviation of the smoothing along the line.

        Returns
        -------
        Centreline or None
            ``None`` when the mask is empty or hardly longer than wide.

        Notes
        -----
        Path of least cost between the two ends farthest apart inside the mask, the cost falling with the
        distance to the wall (Wink et al. 2000, IEEE Trans Med Imaging 19:337); smoothed, then moved to the middle of
        its own perpendicular sections twice.
        """
        if self.is_empty:
            return None
        path, radius = self._path()
        if path is None:
            return None
        points = _evenly(_smooth(path, smoothing_mm))
        for _ in range(2):
            if len(points) < 4:
                return None
            tangents = _tangents(points)
            moved = points.copy()
            for index in range(len(points)):
                found = self.section(points[index], tangents[index], radius * 3.0, samples=_COARSE)
                if found is not None and not found.is_open:
                    moved[index] = found.centre_mm
            points = _evenly(_smooth(moved, smoothing_mm))
        if len(points) < 4:
            return None
        if points[0, 2] < points[-1, 2]:
            points = points[::-1].copy()
        return Centreline(points, _tangents(points))

    def section(
        self, point_mm: Floats, tangent: Floats, reach_mm: float, *, samples: int = _FINE
    ) -> Section | None:
        """Cut the tube perpendicular to a direction.

        Parameters
        ----------
        point_mm
            A point inside, LPS.
        tangent
            Normal of the plane.
        reach_mm
            Half the side of the square that is looked at.
        samples
            Number of samples along it.

        Returns
        -------
        Section or None
            ``None`` when the plane misses the mask near the point.
        """
        from scipy import ndimage  # noqa: PLC0415 - a tenth of a second that only measuring needs

        across, up = plane_axes(tangent)
        half, step = samples, reach_mm / samples
        steps = np.arange(-half, half + 1) * step
        world = point_mm + steps[:, None, None] * across + steps[None, :, None] * up
        index = world @ self._inverse[:3, :3].T + self._inverse[:3, 3]
        inside = (
            ndimage.map_coordinates(self._field, index.transpose(2, 0, 1), order=1, mode="constant") >= 0.5
        )
        labels, count = ndimage.label(inside)
        if count == 0:
            return None
        number = labels[half, half]
        if number == 0:
            where = np.argwhere(labels > 0)
            nearest = where[((where - half) ** 2).sum(axis=1).argmin()]
            number = labels[tuple(nearest)]
        cut = labels == number
        rows, columns = np.nonzero(cut)
        area = float(rows.size) * step**2
        flat = np.column_stack([rows - half, columns - half]) * step
        centre = point_mm + flat[:, 0].mean() * across + flat[:, 1].mean() * up
        (largest, wide), (smallest, narrow) = _widths(flat, step)
        plane = np.vstack([across, up])
        places = index[rows, columns]
        is_open = bool((places <= self._low + 0.5).any() or (places >= self._high - 0.5).any())
        x, y, z = (float(value) for value in centre)
        equivalent = 2.0 * math.sqrt(area / math.pi)
        ends = [_ends(point_mm + pair @ plane) for pair in (wide, narrow)]
        return Section(area, equivalent, largest, smallest, (x, y, z), is_open, *ends)

    def _path(self) -> tuple[Floats | None, float]:
        from scipy import ndimage  # noqa: PLC0415 - only measuring needs it
        from scipy.sparse.csgraph import dijkstra  # noqa: PLC0415 - only measuring needs it

        spacing = np.linalg.norm(self._affine[:3, :3], axis=0)
        mask = self._field > 0.5
        depth = ndimage.distance_transform_edt(mask, sampling=tuple(spacing))
        stride = 2 if int(np.count_nonzero(mask)) > _GRAPH_VOXELS else 1
        thin = depth[::stride, ::stride, ::stride]
        where = np.argwhere(thin > 0.0)
        graph = _voxel_graph(thin, spacing * stride, float(depth.max()))
        if graph is None:
            return None, 0.0
        middle = int(thin[tuple(where.T)].argmax())
        lengths = _without_infinity(dijkstra(graph[0], directed=False, indices=middle))
        first = int(lengths.argmax())
        lengths = _without_infinity(dijkstra(graph[0], directed=False, indices=first))
        last = int(lengths.argmax())
        if lengths[last] < 2.5 * float(depth.max()):
            return None, 0.0
        _, previous = dijkstra(graph[1], directed=False, indices=first, return_predecessors=True)
        walk = [last]
        while walk[-1] != first and previous[walk[-1]] >= 0:
            walk.append(int(previous[walk[-1]]))
        index = where[walk].astype(np.float64) * stride
        return index @ self._affine[:3, :3].T + self._affine[:3, 3], float(depth.max())


def _without_infinity(lengths: Floats) -> Floats:
    return np.where(np.isfinite(lengths), lengths, -1.0)


def _voxel_graph(depth: Floats, spacing: Floats, deepest: float) -> tuple[Any, Any] | None:
    """Neighbour graphs of the voxels inside: by length, and by length that is dear near the wall."""
    from scipy.sparse import coo_array  # noqa: PLC0415 - only measuring needs it

    inside = depth > 0.0
    count = int(np.count_nonzero(inside))
    if count < 2:
        return None
    number = np.full(depth.shape, -1, np.int64)
    number[inside] = np.arange(count)
    rows, columns, lengths, costs = [], [], [], []
    offsets = [(a, b, c) for a in (-1, 0, 1) for b in (-1, 0, 1) for c in (-1, 0, 1) if (a, b, c) > (0, 0, 0)]
    for offset in offsets:
        here = tuple(
            slice(max(0, -step), size - max(0, step)) for step, size in zip(offset, depth.shape, strict=True)
        )
        there = tuple(
            slice(max(0, step), size - max(0, -step)) for step, size in zip(offset, depth.shape, strict=True)
        )
        both = inside[here] & inside[there]
        length = float(np.linalg.norm(np.array(offset) * spacing))
        rows.append(number[here][both])
        columns.append(number[there][both])
        lengths.append(np.full(rows[-1].size, length))
        shallow = 1.0 - np.minimum(depth[here][both], depth[there][both]) / deepest
        costs.append(length * (0.01 + shallow**2))
    pair = (np.concatenate(rows), np.concatenate(columns))
    shape = (count, count)
    return (
        coo_array((np.concatenate(lengths), pair), shape=shape).tocsr(),
        coo_array((np.concatenate(costs), pair), shape=shape).tocsr(),
    )


def _smooth(points: Floats, sigma_mm: float) -> Floats:
    """Smooth along the line; ends are mirrored through themselves, so a straight line stays as it is."""
    from scipy import ndimage  # noqa: PLC0415 - only measuring needs it

    even = _evenly(points)
    if len(even) < 4:
        return even
    margin = min(len(even) - 1, math.ceil(3.0 * sigma_mm))
    head = 2.0 * even[0] - even[margin:0:-1]
    tail = 2.0 * even[-1] - even[-2 : -margin - 2 : -1]
    padded = np.concatenate([head, even, tail])
    smooth: Floats = ndimage.gaussian_filter1d(padded, sigma_mm, axis=0)[margin : margin + len(even)]
    return smooth


def _evenly(points: Floats, step_mm: float = 1.0) -> Floats:
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    keep = np.concatenate([[True], steps > 1e-9])
    kept = points[keep]
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(kept, axis=0), axis=1))])
    wanted = np.linspace(0.0, along[-1], max(2, round(along[-1] / step_mm) + 1))
    return np.column_stack([np.interp(wanted, along, kept[:, axis]) for axis in range(3)])


def _tangents(points: Floats) -> Floats:
    slopes = np.gradient(points, axis=0)
    tangents: Floats = slopes / np.linalg.norm(slopes, axis=1, keepdims=True)
    return tangents


def plane_axes(normal: Floats) -> tuple[Floats, Floats]:
    """Two unit vectors that span the plane perpendicular to a direction."""
    direction = normal / np.linalg.norm(normal)
    helper = np.eye(3)[int(np.abs(direction).argmin())]
    across = np.cross(direction, helper)
    across /= np.linalg.norm(across)
    return across, np.cross(direction, across)


def _widths(points: NDArray[Any], step: float) -> tuple[tuple[float, Floats], tuple[float, Floats]]:
    """Largest and smallest width over half a turn, each with the ends of a line through the middle.

    A sample stands for its cell, so one step is added.
    """
    angles = np.deg2rad(np.arange(0.0, 180.0, 2.0))
    directions = np.vstack([np.cos(angles), np.sin(angles)])
    across = points @ directions
    widths = np.ptp(across, axis=0) + step
    middle = points.mean(axis=0)

    def found(index: int) -> tuple[float, Floats]:
        direction = directions[:, index]
        aside = middle - (middle @ direction) * direction
        low, high = across[:, index].min() - step / 2, across[:, index].max() + step / 2
        return float(widths[index]), np.vstack([aside + low * direction, aside + high * direction])

    return found(int(widths.argmax())), found(int(widths.argmin()))


def _ends(places: Floats) -> Ends:
    first, second = ((float(x), float(y), float(z)) for x, y, z in places)
    return first, second
