"""Where coordinates in space of a foreign report (SCOORD3D, PS3.3 C.18.9) lie on our images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from racoon.domain.finding import FindingKind, Place, Point
from racoon.errors import RacoonError
from racoon.node.archive.model import SEGMENTATION_MODALITY, SeriesFilter
from racoon.node.archive.service import Archive
from racoon.node.reading.findings._shapes import (
    ACROSS,
    BEYOND,
    NO_FRAME,
    TOLERANCE_MM,
    NotPlaced,
    mark_of,
    plane_of_frame,
)
from racoon.science.geometry import ImagePlane
from racoon.standards.dicom.foreign_report import Region
from racoon.standards.dicom.plane import Frame
from racoon.standards.dicom.volume import Arrangement
from racoon.standards.dicomweb.dicom_json import first

Points = npt.NDArray[np.float64]


def in_space(
    archive: Archive, imaging_study_uid: str, regions: Sequence[Region]
) -> tuple[FindingKind, Place, float]:
    """Return what was marked in space, on which image, and how far beside it in mm.

    The image is the nearest one of the same frame of reference; a mark belongs to it where no point is further than
    half the distance of two slices away, and is moved onto it.  Two lines in one plane that is no slice are a section.

    Raises
    ------
    NotPlaced
    """
    frame_of_reference = regions[0].frame_of_reference
    stacks = list(_stacks(archive, imaging_study_uid, frame_of_reference))
    if not stacks:
        raise NotPlaced(NO_FRAME)
    kind, points = mark_of(
        [
            (region.graphic_type, [_point(point) for point in region.points])
            for region in regions
            if not region.instance and region.frame_of_reference == frame_of_reference
        ],
        None,
    )
    found = [item for series, stack in stacks if (item := _nearest(series, stack, np.asarray(points)))]
    if found:
        far, _, series, frame = min(found, key=lambda item: item[:2])
        plane = plane_of_frame(frame)
        moved = _onto(plane, np.asarray(points))
        if not plane.holds(moved, TOLERANCE_MM):
            raise NotPlaced(BEYOND)
        return kind, _place(imaging_study_uid, series, frame, regions[0], moved), far
    if kind is FindingKind.BIDIRECTIONAL:
        for series, stack in stacks:
            if section := _section(stack, np.asarray(points)):
                frame, places = section
                place = _place(imaging_study_uid, series, frame, regions[0], places)
                return FindingKind.SECTION, place, 0.0
    is_inside = any(_holds(stack, np.asarray(points)) for _, stack in stacks)
    raise NotPlaced(ACROSS if is_inside else BEYOND)


def _stacks(
    archive: Archive, imaging_study_uid: str, frame_of_reference: str
) -> Iterator[tuple[str, Arrangement]]:
    """Yield the series of pictures with a frame of reference, the largest first."""
    rows = archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid))
    facts = [row.facts for row in rows if row.facts.rows and row.facts.modality != SEGMENTATION_MODALITY]
    for item in sorted(facts, key=lambda item: (-item.instance_count, item.series_uid)):
        header = next((document for _, document, _ in archive.metadata(item.series_uid)), {})
        if not frame_of_reference or first(header, "FrameOfReferenceUID") != frame_of_reference:
            continue
        try:
            arrangement = archive.arrange(item.series_uid)
        except RacoonError:
            continue  # pictures without a place in space
        if arrangement.frames:
            yield item.series_uid, arrangement


def _nearest(series: str, stack: Arrangement, points: Points) -> tuple[float, int, str, Frame] | None:
    """Return the slice that all points belong to, with the largest distance."""
    best: tuple[float, int, str, Frame] | None = None
    for number, frame in enumerate(stack.frames):
        far = float(plane_of_frame(frame).pixels_of(_list(points))[:, 2].max())
        if best is None or far < best[0]:
            best = far, number, series, frame
    return best if best and best[0] <= max(TOLERANCE_MM, _gap(stack) / 2 + 1e-3) else None


def _gap(stack: Arrangement) -> float:
    """Return the distance of neighbouring slices in mm, of a single one its thickness."""
    frame = stack.frames[0]
    if len(stack.frames) == 1:
        return frame.thickness_mm or 0.0
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    heights = np.sort([np.asarray(item.position_mm) @ normal for item in stack.frames])
    return float(np.median(np.diff(heights)))


def _onto(plane: ImagePlane, points: Points) -> tuple[Point, ...]:
    normal = np.cross(plane.along_row, plane.along_column)
    far = (points - np.asarray(plane.origin_mm)) @ normal
    return _list(points - far[:, None] * normal)


def _section(stack: Arrangement, points: Points) -> tuple[Frame, tuple[Point, ...]] | None:
    """Return the image nearest to the middle of two crossing lines, and the six points of a section through them."""
    normal = np.cross(points[1] - points[0], points[3] - points[2])
    size = float(np.linalg.norm(normal))
    if size < TOLERANCE_MM or not stack.is_regular or stack.affine is None:
        return None
    normal = normal / size
    middle = points.mean(axis=0)
    far = (points - middle) @ normal
    if np.abs(far).max() > TOLERANCE_MM or not _holds(stack, points):
        return None
    inverse = np.linalg.inv(stack.affine)
    index = inverse[0, :3] @ middle + inverse[0, 3]
    frame = stack.frames[int(np.clip(np.rint(index), 0, len(stack.frames) - 1))]
    ends = points - far[:, None] * normal
    return frame, _list(np.vstack([middle, middle + 10 * normal, ends]))


def _holds(stack: Arrangement, points: Points) -> bool:
    """Tell whether all points lie in the box of the slices."""
    if stack.affine is None:
        return False
    inverse = np.linalg.inv(stack.affine)
    index = points @ inverse[:3, :3].T + inverse[:3, 3]
    size = np.array([len(stack.frames), stack.frames[0].rows, stack.frames[0].columns])
    slack = 0.5 + TOLERANCE_MM / np.linalg.norm(stack.affine[:3, :3], axis=0)
    return bool((index >= -slack).all() and (index <= size - 1 + slack).all())


def _place(
    imaging_study_uid: str, series: str, frame: Frame, region: Region, points: tuple[Point, ...]
) -> Place:
    return Place(
        imaging_study_uid, series, frame.sop_instance_uid, frame.number, region.frame_of_reference, points
    )


def _point(values: Sequence[float]) -> Point:
    x, y, z = values
    return x, y, z


def _list(points: Points) -> tuple[Point, ...]:
    return tuple((float(x), float(y), float(z)) for x, y, z in points)
