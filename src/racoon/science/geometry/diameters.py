"""Diameters by the voxel-corner convention.

A voxel is a box, not a point: lengths are measured between voxel corners, so a single pixel of side s has
the diameter s·√2 and not 0.  All maxima are taken over the convex hull of those corners; for a concave
structure the line may therefore leave the structure, as a ruler on the screen does.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.science.geometry.box import bounding_box, shifted_affine

Floats = NDArray[np.float64]

Ends = tuple[tuple[float, float, float], tuple[float, float, float]]
"""The two ends of a measured line, LPS in mm."""


@dataclass(frozen=True)
class AxialDiameters:
    """Longest in-plane diameter and the longest one perpendicular to it, in the same slice.

    Parameters
    ----------
    long_mm, short_mm
        Lengths in mm; NaN for an empty mask.
    slice_index
        Slice in which they were taken; -1 for an empty mask.
    long_ends_mm, short_ends_mm
        The two ends of each axis, LPS in mm, shape (2, 3).
    """

    long_mm: float
    short_mm: float
    slice_index: int
    long_ends_mm: Ends | None
    short_ends_mm: Ends | None = None


def equivalent_diameter_mm(area_mm2: float) -> float:
    """Diameter of the circle with the same area, ``2·√(A/π)``."""
    return 2.0 * math.sqrt(area_mm2 / math.pi)


def max_diameter_mm(mask: NDArray[np.bool_], affine: NDArray[Any]) -> float:
    """Largest distance between two voxel corners of the mask, in any direction.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column); several parts count as one structure.
    affine
        4x4, maps (slice, row, column, 1) to mm.

    Returns
    -------
    float
        mm; NaN for an empty mask.
    """
    found = longest_line(mask, affine)
    return math.nan if found is None else found[0]


def longest_line(mask: NDArray[np.bool_], affine: NDArray[Any]) -> tuple[float, Ends] | None:
    """Find the largest distance between two voxel corners, and where they are.

    Returns
    -------
    tuple or None
        Length in mm and its two ends; ``None`` for an empty mask.
    """
    from scipy.spatial import ConvexHull  # noqa: PLC0415 - a tenth of a second that only measuring needs

    box = bounding_box(mask)
    if box is None:
        return None
    corners = _volume_corners(mask[box.slices])
    # Hull corners do not depend on the affine: find them on exact integers, then place them in the world.
    extreme = corners[ConvexHull(corners).vertices]
    matrix = np.asarray(affine, dtype=np.float64)
    length, *far = _largest_distance(extreme @ matrix[:3, :3].T)
    place = (extreme[far] + np.array(box.start)) @ matrix[:3, :3].T + matrix[:3, 3]
    return length, _ends(place)


def _ends(place: Floats) -> Ends:
    first, second = ((float(x), float(y), float(z)) for x, y, z in place)
    return first, second


def axial_diameters(mask: NDArray[np.bool_], affine: NDArray[Any]) -> AxialDiameters:
    """Measure long and short axis as RECIST 1.1 does, over all axial slices.

    Parameters
    ----------
    mask
        Boolean array (slice, row, column).
    affine
        4x4, maps (slice, row, column, 1) to LPS in mm.

    Returns
    -------
    AxialDiameters
        The slice with the longest diameter wins; the first of equal ones.

    Notes
    -----
    The short axis is the longest chord of the hull that is perpendicular to the long axis.
    Eisenhauer et al. 2009, doi:10.1016/j.ejca.2008.10.026.
    """
    from scipy.spatial import ConvexHull  # noqa: PLC0415 - a tenth of a second that only measuring needs

    box = bounding_box(mask)
    if box is None:
        return AxialDiameters(math.nan, math.nan, -1, None)
    crop = mask[box.slices]
    matrix = shifted_affine(np.asarray(affine, dtype=np.float64), box)
    plane, _ = np.linalg.qr(matrix[:3, 1:3])
    to_plane = (plane.T @ matrix[:3, 1:3]).T
    best: tuple[float, int, Floats, Floats] | None = None
    bounds = _slice_bounds(crop, to_plane)
    for index in sorted(range(crop.shape[0]), key=lambda item: (-bounds[item], item)):
        # A slice whose box is shorter than the best diameter so far can't win, nor can any after it.
        if bounds[index] <= 0.0 or (best is not None and bounds[index] < best[0]):
            break
        corners = _slice_corners(crop[index])
        hull = corners[ConvexHull(corners).vertices]
        length, *ends = _largest_distance(hull @ to_plane)
        if best is None or length > best[0] or (length == best[0] and index < best[1]):
            best = (length, index, hull, np.array(ends))
    if best is None:  # pragma: no cover - a box is never empty
        return AxialDiameters(math.nan, math.nan, -1, None)
    length, index, hull, far = best
    short, chord = _perpendicular_chord(hull @ to_plane, int(far[0]), int(far[1]))
    place = (matrix[:3, :3] @ np.column_stack([np.full(2, index), hull[far]]).T + matrix[:3, 3:]).T
    middle = matrix[:3, :3] @ np.array([float(index), 0.0, 0.0]) + matrix[:3, 3]
    across = middle + chord @ plane.T
    return AxialDiameters(length, short, index + box.start[0], _ends(place), _ends(across))


def _row_spans(mask: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """First and one-past-last true column of each row; +inf and -inf where a row is empty."""
    filled = mask.any(axis=-1)
    first = np.where(filled, mask.argmax(axis=-1), np.inf)
    last = np.where(filled, mask.shape[-1] - mask[..., ::-1].argmax(axis=-1), -np.inf)
    return first, last


def _spread(values: Floats, fill: float, largest: bool) -> Floats:
    """Give each grid corner the extreme of the rows (pixels, voxels) that touch it."""
    pick = np.maximum if largest else np.minimum
    for axis in range(values.ndim):
        pad = [(0, 0)] * values.ndim
        pad[axis] = (1, 1)
        padded = np.pad(values, pad, constant_values=fill)
        before = np.take(padded, range(padded.shape[axis] - 1), axis=axis)
        after = np.take(padded, range(1, padded.shape[axis]), axis=axis)
        values = pick(before, after)
    return values


def _volume_corners(mask: NDArray[np.bool_]) -> Floats:
    """Outermost voxel corners of each grid line along the columns, as index coordinates (n, 3)."""
    first, last = _row_spans(mask)
    low, high = _spread(first, np.inf, largest=False), _spread(last, -np.inf, largest=True)
    where = np.argwhere(np.isfinite(low))
    both = np.vstack(
        [np.column_stack([where, low[tuple(where.T)]]), np.column_stack([where, high[tuple(where.T)]])]
    )
    return both - 0.5


def _slice_corners(mask: NDArray[np.bool_]) -> Floats:
    """Outermost pixel corners of each grid line of one slice, as index coordinates (n, 2)."""
    first, last = _row_spans(mask)
    low, high = _spread(first, np.inf, largest=False), _spread(last, -np.inf, largest=True)
    where = np.flatnonzero(np.isfinite(low))
    return np.vstack([np.column_stack([where, low[where]]), np.column_stack([where, high[where]])]) - 0.5


def _slice_bounds(mask: NDArray[np.bool_], to_plane: Floats) -> Floats:
    """Upper bound of each slice's diameter: the diagonal of its box; 0 where the slice is empty."""
    rows: NDArray[np.bool_] = np.any(mask, axis=2, keepdims=False)
    columns: NDArray[np.bool_] = np.any(mask, axis=1, keepdims=False)
    filled = rows.any(axis=1)
    height = rows.shape[1] - rows[:, ::-1].argmax(axis=1) - rows.argmax(axis=1)
    width = columns.shape[1] - columns[:, ::-1].argmax(axis=1) - columns.argmax(axis=1)
    down, across = height[:, None] * to_plane[0], width[:, None] * to_plane[1]
    diagonal = np.maximum(np.linalg.norm(down + across, axis=1), np.linalg.norm(down - across, axis=1))
    bounds: Floats = np.where(filled, diagonal, 0.0)
    return bounds


def _largest_distance(points: Floats) -> tuple[float, int, int]:
    """Largest distance between two points, and their indices."""
    from scipy.spatial.distance import cdist  # noqa: PLC0415 - only measuring needs it

    best, first, second = -1.0, 0, 0
    # In stripes, so that a hull of ten thousand corners needs megabytes and not gigabytes.
    for start in range(0, len(points), 512):
        distances = cdist(points[start : start + 512], points[start:])
        position = int(distances.argmax())
        row, column = divmod(position, distances.shape[1])
        if distances[row, column] > best:
            best, first, second = float(distances[row, column]), start + row, start + column
    return best, first, second


def _perpendicular_chord(hull: Floats, first: int, second: int) -> tuple[float, Floats]:
    """Longest chord of a convex polygon (corners in order) perpendicular to the line between two corners; its ends."""
    along = hull[second] - hull[first]
    along = along / np.linalg.norm(along)
    across = np.array([-along[1], along[0]])
    position, offset = hull @ along, hull @ across
    following, next_offset = np.roll(position, -1), np.roll(offset, -1)
    longest, ends_at = 0.0, hull[[first, first]]
    # The chord length is concave and piecewise linear in the position, so its maximum lies at a corner.
    for place in position:
        low, high = np.minimum(position, following), np.maximum(position, following)
        hit = (low <= place) & (place <= high)
        span = (following - position)[hit]
        step = np.where(span == 0.0, 0.0, (place - position[hit]) / np.where(span == 0.0, 1.0, span))
        crossings = offset[hit] + step * (next_offset - offset)[hit]
        ends = np.concatenate([crossings, offset[hit][span == 0.0], next_offset[hit][span == 0.0]])
        span_mm = float(ends.max() - ends.min())
        if span_mm > longest:
            longest = span_mm
            ends_at = place * along + np.array([[ends.min()], [ends.max()]]) * across
    return longest, ends_at
