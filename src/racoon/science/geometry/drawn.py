"""Sizes of what a person draws on one image: lengths, two axes, an ellipse and the values inside it.

Points are LPS in mm.  A plane maps pixel indices (row, column), counted from 0 at the centre of the first pixel,
to mm (PS3.3 C.7.6.2.1.1); it may lie obliquely and its pixels need not be square.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Point = tuple[float, float, float]


@dataclass(frozen=True)
class ImagePlane:
    """Where the pixels of one image lie.

    Parameters
    ----------
    origin_mm
        Centre of the first pixel.
    along_row, along_column
        Unit vectors: from one column to the next, from one row to the next.
    spacing_mm
        Between rows, between columns.
    rows, columns
        Size of the matrix.
    """

    origin_mm: Point
    along_row: Point
    along_column: Point
    spacing_mm: tuple[float, float]
    rows: int
    columns: int

    @property
    def affine(self) -> NDArray[np.float64]:
        """3x3 matrix from (row, column, 1) to mm."""
        return np.column_stack(
            [
                np.asarray(self.along_column) * self.spacing_mm[0],
                np.asarray(self.along_row) * self.spacing_mm[1],
                np.asarray(self.origin_mm),
            ]
        )

    def pixels_of(self, points_mm: Sequence[Point]) -> NDArray[np.float64]:
        """Return (row, column, distance from the plane in mm) of each point; the indices are fractional."""
        offsets = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3) - np.asarray(self.origin_mm)
        normal = np.cross(self.along_row, self.along_column)
        return np.column_stack(
            [
                offsets @ np.asarray(self.along_column) / self.spacing_mm[0],
                offsets @ np.asarray(self.along_row) / self.spacing_mm[1],
                np.abs(offsets @ normal),
            ]
        )

    def holds(self, points_mm: Sequence[Point], tolerance_mm: float) -> bool:
        """Tell whether every point lies on the plane and within the outer edges of its pixels."""
        rows, columns, distances = self.pixels_of(points_mm).T
        slack_rows, slack_columns = tolerance_mm / self.spacing_mm[0], tolerance_mm / self.spacing_mm[1]
        return bool(
            np.isfinite(distances).all()
            and (distances <= tolerance_mm).all()
            and (rows >= -0.5 - slack_rows).all()
            and (rows <= self.rows - 0.5 + slack_rows).all()
            and (columns >= -0.5 - slack_columns).all()
            and (columns <= self.columns - 0.5 + slack_columns).all()
        )


def length_mm(start: Point, end: Point) -> float:
    """Distance of two points in mm."""
    return math.dist(start, end)


def two_axes_mm(points_mm: Sequence[Point]) -> tuple[float, float]:
    """Long and short axis in mm of four points: the ends of one axis, then the ends of the other."""
    first, second = length_mm(points_mm[0], points_mm[1]), length_mm(points_mm[2], points_mm[3])
    return max(first, second), min(first, second)


def ellipse_area_mm2(points_mm: Sequence[Point]) -> float:
    """Area in mm² of the ellipse with these axes (four points, see :func:`two_axes_mm`)."""
    long_axis, short_axis = two_axes_mm(points_mm)
    return math.pi / 4 * long_axis * short_axis


def ellipse_pixels(points_mm: Sequence[Point], plane: ImagePlane) -> NDArray[np.bool_]:
    """Return the pixels (row, column) whose centres lie inside or on an ellipse drawn on a plane.

    Parameters
    ----------
    points_mm
        Ends of one axis, then ends of the other; the axes halve each other at right angles.
    plane
        The image.
    """
    ends = np.asarray(points_mm, dtype=np.float64)
    centre = ends.mean(axis=0)
    inside = np.zeros((plane.rows, plane.columns), dtype=np.bool_)
    axes = [(ends[1] - ends[0]) / 2, (ends[3] - ends[2]) / 2]
    radii = [float(np.linalg.norm(axis)) for axis in axes]
    if min(radii) == 0:
        return inside
    # Only the box around the ellipse is looked at: it reaches as far as both half axes together.
    reach = np.ceil(sum(radii) / np.asarray(plane.spacing_mm)).astype(int) + 1
    middle = plane.pixels_of([(float(centre[0]), float(centre[1]), float(centre[2]))])[0, :2]
    first = np.maximum(np.floor(middle).astype(int) - reach, 0)
    last = np.minimum(np.ceil(middle).astype(int) + reach + 1, (plane.rows, plane.columns))
    if (last <= first).any():
        return inside
    grid = np.stack(
        np.meshgrid(np.arange(first[0], last[0]), np.arange(first[1], last[1]), indexing="ij"), axis=-1
    )
    offsets = np.concatenate([grid, np.ones((*grid.shape[:2], 1))], axis=-1) @ plane.affine.T - centre
    distance = sum(
        (offsets @ (axis / radius) / radius) ** 2 for axis, radius in zip(axes, radii, strict=True)
    )
    # A pixel centre on the line belongs to the ellipse; rounding must not decide that.
    inside[first[0] : last[0], first[1] : last[1]] = distance <= 1 + 1e-9
    return inside


def angle_deg(points_mm: Sequence[Point]) -> float:
    """Angle in degrees at the second of three points, 0 to 180; 0 when a leg has no length."""
    corner = np.asarray(points_mm[1], dtype=np.float64)
    first, second = np.asarray(points_mm[0]) - corner, np.asarray(points_mm[2]) - corner
    # The half-angle form keeps its digits where the cosine of small and flat angles loses them (Kahan 2006).
    first, second = first * np.linalg.norm(second), second * np.linalg.norm(first)
    return math.degrees(2 * math.atan2(np.linalg.norm(first - second), np.linalg.norm(first + second)))


def polygon_area_mm2(points_mm: Sequence[Point], plane: ImagePlane) -> float:
    """Area in mm² inside an outline on a plane; the last point is joined to the first."""
    rows, columns, _ = plane.pixels_of(points_mm).T
    y, x = rows * plane.spacing_mm[0], columns * plane.spacing_mm[1]
    # About the first point: far from the origin the products would lose digits.
    y, x = y - y[0], x - x[0]
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def polygon_pixels(points_mm: Sequence[Point], plane: ImagePlane) -> NDArray[np.bool_]:
    """Return the pixels (row, column) whose centres lie inside an outline on a plane (even-odd rule)."""
    inside = np.zeros((plane.rows, plane.columns), dtype=np.bool_)
    rows, columns, _ = plane.pixels_of(points_mm).T
    first = max(0, math.ceil(float(rows.min())))
    centres = np.arange(plane.columns)
    for row in range(first, min(plane.rows - 1, math.floor(float(rows.max()))) + 1):
        is_crossing = (rows <= row) != (np.roll(rows, -1) <= row)
        at, following = rows[is_crossing], np.roll(rows, -1)[is_crossing]
        left, right = columns[is_crossing], np.roll(columns, -1)[is_crossing]
        crossings = np.sort(left + (row - at) / (following - at) * (right - left))
        inside[row] = np.searchsorted(crossings, centres, side="right") % 2 == 1
    return inside


@dataclass(frozen=True)
class PixelStatistics:
    """Values of some pixels in the unit of the image; the spread has divisor n (IBSI ECT3)."""

    count: int
    mean: float
    sd: float
    minimum: float
    maximum: float


def pixel_statistics(values: NDArray[np.generic]) -> PixelStatistics | None:
    """Describe the values of some pixels; ``None`` when there are none."""
    if values.size == 0:
        return None
    numbers = values.astype(np.float64).ravel()
    return PixelStatistics(
        int(numbers.size),
        float(numbers.mean()),
        float(numbers.std()),
        float(numbers.min()),
        float(numbers.max()),
    )
