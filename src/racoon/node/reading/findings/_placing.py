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
from racoon.node.reading.findings._in_space import in_space
from racoon.node.reading.findings._shapes import (
    NO_IMAGE,
    NO_PLACE,
    NO_SEGMENT,
    OUTSIDE,
    TOLERANCE_MM,
    NotPlaced,
    mark_of,
    plane_of_frame,
)
from racoon.science.geometry import ImagePlane
from racoon.standards.dicom.foreign_report import ForeignGroup, Region
from racoon.standards.dicom.plane import frames_of


def place_of(
    archive: Archive, imaging_study_uid: str, group: ForeignGroup
) -> tuple[FindingKind, Place, float]:
    """Return what a group is, where, and how far beside its image in mm.

    Raises
    ------
    NotPlaced
        With the reason in words.
    """
    regions = [*group.regions, *(region for number in group.numbers for region in number.regions)]
    if regions:
        return _drawn(archive, imaging_study_uid, regions)
    if group.segment is not None:
        return FindingKind.SEGMENT, _segment(archive, imaging_study_uid, *group.segment), 0.0
    raise NotPlaced(NO_PLACE)


def _drawn(
    archive: Archive, imaging_study_uid: str, regions: Sequence[Region]
) -> tuple[FindingKind, Place, float]:
    first = regions[0]
    if not first.instance:
        return in_space(archive, imaging_study_uid, list(dict.fromkeys(regions)))
    plane, series_uid, frame_of_reference = _plane(archive, imaging_study_uid, first)
    there = [region for region in dict.fromkeys(regions) if region.instance == first.instance]
    kind, points = mark_of([(region.graphic_type, _points(region, plane)) for region in there], plane)
    if not plane.holds(points, TOLERANCE_MM):
        raise NotPlaced(OUTSIDE)
    place = Place(
        imaging_study_uid, series_uid, first.instance, first.frame, frame_of_reference, tuple(points)
    )
    return kind, place, 0.0


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
    plane = plane_of_frame(frames[region.frame - 1])
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
