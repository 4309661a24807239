"""Which kind of finding the shapes of a foreign report are, and why one is none here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from racoon.domain.finding import FindingKind, Point
from racoon.science.geometry import ImagePlane
from racoon.standards.dicom.plane import Frame

TOLERANCE_MM = 0.5
"""Writers round coordinates to whole pixels and their outer edges; more than half a millimetre beyond is wrong."""

NO_IMAGE = "The image it lies on is not in this archive."
NO_SHAPE = "Its shape is not one that is drawn here."
NO_FRAME = "No image of this examination has the frame of reference of its coordinates."
ACROSS = "It lies across the slices, so it is on none of them."
OUTSIDE = "Its coordinates lie outside the image it names."
BEYOND = "Its coordinates lie outside the images."
NO_PLACE = "It names no place in an image."
NO_SEGMENT = "The segmentation it was measured in is not in this archive."

Shape = tuple[str, Sequence[Point]]
"""Graphic type of DICOM and points in mm, LPS."""


class NotPlaced(Exception):
    """A group without a place here; never leaves this room."""


def plane_of_frame(frame: Frame) -> ImagePlane:
    """Return where the pixels of a frame lie."""
    along = frame.orientation
    return ImagePlane(
        frame.position_mm,
        (along[0], along[1], along[2]),
        (along[3], along[4], along[5]),
        frame.pixel_spacing_mm,
        frame.rows,
        frame.columns,
    )


def mark_of(shapes: Sequence[Shape], plane: ImagePlane | None) -> tuple[FindingKind, tuple[Point, ...]]:
    """Return the kind of finding that shapes are together, and its points.

    Parameters
    ----------
    plane
        Of the image they were drawn on, None in space.

    Raises
    ------
    NotPlaced
    """
    lines = [points for graphic, points in shapes if graphic == "POLYLINE" and len(points) == 2]
    if len(lines) == 2:
        return FindingKind.BIDIRECTIONAL, (*lines[0], *lines[1])
    graphic, points = shapes[0][0], tuple(shapes[0][1])
    match graphic, len(points):
        case "POINT" | "MULTIPOINT", count if count >= 1:
            return FindingKind.PROBE, points[:1]
        case "POLYLINE", 2:
            return FindingKind.LENGTH, points
        case "POLYLINE" | "POLYGON", count if count > 3 and points[0] == points[-1]:
            return FindingKind.FREEHAND, points[:-1]
        case "POLYLINE", 3:
            return FindingKind.ANGLE, points
        case "ELLIPSE", 4:
            return FindingKind.ELLIPSE, points
        case "CIRCLE", 2 if plane:
            return FindingKind.ELLIPSE, _circle(points, plane)
    raise NotPlaced(NO_SHAPE)


def _circle(points: Sequence[Point], plane: ImagePlane) -> tuple[Point, ...]:
    """Two axes of a circle, its size in millimetres, as an ellipse is written."""
    centre, edge = (np.asarray(point) for point in points)
    radius = float(np.linalg.norm(edge - centre))
    ends = [
        centre + side * radius * np.asarray(axis)
        for axis in (plane.along_row, plane.along_column)
        for side in (-1.0, 1.0)
    ]
    return tuple((float(x), float(y), float(z)) for x, y, z in ends)
