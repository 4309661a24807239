"""Where a foreign report's coordinates lie on our images, and which kind of finding they are."""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pydicom

from racoon.domain.finding import FindingKind, Place, Point
from racoon.errors import RacoonError
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.science.geometry import ImagePlane
from racoon.standards.dicom.foreign_report import ForeignGroup, Region
from racoon.standards.dicom.plane import frames_of

TOLERANCE_MM = 0.5
"""Writers round coordinates to whole pixels and their outer edges; more than half a millimetre beyond is wrong."""

NO_IMAGE = "The image it lies on is not in this archive."
NO_SHAPE = "Its shape is not one that is drawn here."
SPATIAL = "Its coordinates name no image."
OUTSIDE = "Its coordinates lie outside the image it names."
NO_PLACE = "It names no place in an image."
NO_SEGMENT = "The segmentation it was measured in is not in this archive."


class NotPlaced(Exception):
    """A group without a place here; never leaves this room."""


def place_of(archive: Archive, imaging_study_uid: str, group: ForeignGroup) -> tuple[FindingKind, Place]:
    """Return what a group is and where.

    Raises
    ------
    NotPlaced
        With the reason in words.
    """
    regions = [*group.regions, *(region for number in group.numbers for region in number.regions)]
    if regions:
        return _drawn(archive, imaging_study_uid, regions)
    if group.segment is not None:
        return FindingKind.SEGMENT, _segment(archive, imaging_study_uid, *group.segment)
    raise NotPlaced(NO_PLACE)


def _drawn(archive: Archive, imaging_study_uid: str, regions: Sequence[Region]) -> tuple[FindingKind, Place]:
    first = regions[0]
    if not first.instance:
        raise NotPlaced(SPATIAL)
    plane, series_uid, frame_of_reference = _plane(archive, imaging_study_uid, first)
    lines = [
        _points(region, plane)
        for region in dict.fromkeys(regions)
        if region.graphic_type == "POLYLINE" and len(region.points) == 2 and region.instance == first.instance
    ]
    if len(lines) == 2:
        kind, points = FindingKind.BIDIRECTIONAL, (*lines[0], *lines[1])
    else:
        kind, points = _shape(first, plane)
    if not plane.holds(points, TOLERANCE_MM):
        raise NotPlaced(OUTSIDE)
    return kind, Place(
        imaging_study_uid, series_uid, first.instance, first.frame, frame_of_reference, tuple(points)
    )


def _shape(region: Region, plane: ImagePlane) -> tuple[FindingKind, tuple[Point, ...]]:
    points = _points(region, plane)
    match region.graphic_type, len(points):
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
        case "CIRCLE", 2:
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


def _points(region: Region, plane: ImagePlane) -> tuple[Point, ...]:
    # The outer corner of the first pixel is 0, 0 there and its centre 0, 0 here (PS3.3 C.18.6.1.2).
    index = np.array([(row - 0.5, column - 0.5, 1.0) for column, row in region.points]).reshape(-1, 3)
    return tuple((float(x), float(y), float(z)) for x, y, z in index @ plane.affine.T)


def _plane(archive: Archive, imaging_study_uid: str, region: Region) -> tuple[ImagePlane, str, str]:
    try:
        row = archive.instance(region.instance)
        if row.imaging_study_uid != imaging_study_uid:
            raise NotPlaced(NO_IMAGE)
        with archive.open_object(row) as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True)
        frames = frames_of(header)
    except RacoonError as error:
        raise NotPlaced(NO_IMAGE if isinstance(error, SeriesNotFound) else error.public_message) from error
    if not 1 <= region.frame <= len(frames):
        raise NotPlaced(OUTSIDE)
    frame = frames[region.frame - 1]
    along = frame.orientation
    plane = ImagePlane(
        frame.position_mm,
        (along[0], along[1], along[2]),
        (along[3], along[4], along[5]),
        frame.pixel_spacing_mm,
        frame.rows,
        frame.columns,
    )
    return plane, row.series_uid, str(header.get("FrameOfReferenceUID") or "")


def _segment(archive: Archive, imaging_study_uid: str, instance: str, number: int) -> Place:
    """Return the slice of the source series on which a segment is largest."""
    try:
        row = archive.instance(instance)
        source = archive.series_row(row.series_uid).facts.referenced_series_uid
        arrangement = archive.arrange(source)
        for found in archive.iterate_masks(source, arrangement):
            if (found.seg_instance_uid, found.segment_number) != (instance, number):
                continue
            areas = found.mask.voxels.sum(axis=(1, 2))
            if row.imaging_study_uid != imaging_study_uid or not areas.any():
                break
            frame = arrangement.frames[int(areas.argmax())]
            image = archive.instance(frame.sop_instance_uid)
            header = pydicom.dcmread(io.BytesIO(archive.read_object(image)), stop_before_pixels=True)
            frame_of_reference = str(header.get("FrameOfReferenceUID") or "")
            return Place(
                imaging_study_uid, source, frame.sop_instance_uid, frame.number, frame_of_reference, ()
            )
    except RacoonError as error:
        raise NotPlaced(NO_SEGMENT) from error
    raise NotPlaced(NO_SEGMENT)
