"""What the viewer asks: the planes of a series in order, its windows, and its masks as runs."""

from __future__ import annotations

import io
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import pydicom
from pydicom.dataset import Dataset

from racoon.domain.labels import PALETTE
from racoon.node.archive.model import (
    SEGMENTATION_MODALITY,
    InstanceRow,
    SeriesFacts,
    SeriesFilter,
    SeriesNotFound,
)
from racoon.node.archive.service import Archive, SegmentationMask
from racoon.node.reading.model import (
    FINDING_LABELS,
    Plane,
    SegmentEntry,
    SeriesView,
    WindowPreset,
    edge_letters,
    plane_name,
    presets_for,
    runs_of,
)
from racoon.node.reading.scaling import Scale, scale_of
from racoon.node.reading.structures import (
    STRUCTURE_SET,
    count_structure_sets,
    iterate_structures,
    regions_of,
    structure_sets,
)
from racoon.standards.dicom.pixels import UndecodablePixels
from racoon.standards.dicom.rendering import automatic_window, header_window, output_values
from racoon.standards.dicom.segmentation import segments_of
from racoon.standards.dicom.volume import Arrangement, UnsuitableObject
from racoon.standards.files.contours import ContourMismatch

REMEMBERED_SERIES = 8
"""Masks as runs take a few MB per series; a reader goes back and forth between a handful."""

Overlays = dict[int, dict[str, list[int]]]
"""By slice index: runs of each segment that has pixels there, by segment key."""

_log = logging.getLogger(__name__)

T = TypeVar("T")

_Key = tuple[str, int, int, int]


class Reading:
    """The viewer's questions to the archive.

    Parameters
    ----------
    archive
        The node's archive.
    superseded
        Gives the segmentations of a series that a later one replaced; they stay in the archive and out of sight.
    """

    def __init__(
        self, archive: Archive, superseded: Callable[[str], frozenset[str]] = lambda _series: frozenset()
    ) -> None:
        self._archive = archive
        self._superseded = superseded
        self._lock = threading.Lock()
        self._views: OrderedDict[_Key, SeriesView] = OrderedDict()
        self._overlays: OrderedDict[_Key, Overlays] = OrderedDict()

    def view(self, series_uid: str) -> SeriesView:
        """Describe a series: planes in stack order, geometry, windows, segments, what is irregular.

        Raises
        ------
        SeriesNotFound
            If it is not there, may not be read, or has no pictures.
        """
        key = self._key(series_uid)
        found = self._views.get(key)
        if found is None:
            found = self._describe(series_uid)
            with self._lock:
                _remember(self._views, key, found)
        return found

    def picture_series(self, imaging_study_uid: str) -> list[SeriesFacts]:
        """List the series of an imaging study that are pictures, in the order of their series numbers."""
        rows = self._archive.series(SeriesFilter(imaging_study_uid=imaging_study_uid))
        facts = [row.facts for row in rows if row.facts.rows and row.facts.modality != SEGMENTATION_MODALITY]
        return sorted(facts, key=lambda found: (found.series_number or 0, found.series_uid))

    def priors(self, series_uid: str) -> list[SeriesFacts]:
        """List series of the same subject and modality from other imaging studies, the best to compare with first.

        That is the newest one before this study (dates are shifted alike within a subject), and in it the series
        whose description is the same.
        """
        own = self._archive.series_row(series_uid).facts
        rows = self._archive.series(SeriesFilter(pseudonym=str(own.pseudonym), modality=own.modality))
        others = [
            row.facts
            for row in rows
            if row.facts.imaging_study_uid != own.imaging_study_uid and row.facts.rows
        ]

        def order(facts: SeriesFacts) -> tuple[bool, int, bool, str]:
            date = facts.study_date_shifted
            is_later = date > own.study_date_shifted
            return is_later, -int(date or 0), facts.description != own.description, facts.series_uid

        return sorted(others, key=order)

    def overlays(self, series_uid: str) -> Overlays:
        """Return all masks of a series as runs, empty where the series is not one regular grid."""
        key = self._key(series_uid)
        with self._lock:
            found = self._overlays.get(key)
            if found is None:
                found = self._load_overlays(series_uid)
                _remember(self._overlays, key, found)
        return found

    def largest_slice(self, series_uid: str, segment_key: str) -> int | None:
        """Return the slice where a segment has most pixels, or None when it has none."""
        areas = {
            index: sum(runs[segment_key][1::2])
            for index, runs in self.overlays(series_uid).items()
            if segment_key in runs
        }
        return max(areas, key=lambda index: areas[index]) if areas else None

    def _key(self, series_uid: str) -> _Key:
        """Name a state of the series: it changes when images or segmentations come."""
        own = self._archive.series_row(series_uid).facts.instance_count
        drawn = self._archive.series(SeriesFilter(referenced_series_uid=series_uid))
        hidden = len(self._superseded(series_uid))
        masks = sum(row.facts.instance_count for row in drawn) + count_structure_sets(
            self._archive, series_uid
        )
        return series_uid, own, masks, hidden

    def _load_overlays(self, series_uid: str) -> Overlays:
        overlays: Overlays = {}
        arrangement = self._archive.arrange(series_uid)
        if not arrangement.is_regular:
            return overlays
        hidden = self._superseded(series_uid)
        for found in self._masks(series_uid, arrangement):
            if found.seg_instance_uid in hidden:
                continue
            name = f"{found.seg_instance_uid}:{found.segment_number}"
            for index in np.flatnonzero(found.mask.voxels.any(axis=(1, 2))):
                overlays.setdefault(int(index), {})[name] = runs_of(found.mask.voxels[index])
        return overlays

    def _masks(self, series_uid: str, arrangement: Arrangement) -> Iterator[SegmentationMask]:
        yield from self._archive.iterate_masks(series_uid, arrangement)
        try:
            yield from iterate_structures(self._archive, series_uid, arrangement)
        except ContourMismatch as error:
            # The view says it; the masks that are right are shown.
            _log.warning("contours do not fit their series", extra={"code": error.error_code})

    def _describe(self, series_uid: str) -> SeriesView:
        facts = self._archive.series_row(series_uid).facts
        instances = self._archive.instances(series_uid)
        pictures = [row for row in instances if row.rows]
        if not pictures:
            raise SeriesNotFound("This series has no pictures.")
        arrangement, findings = self._arrange(series_uid)
        first = arrangement.frames[0] if arrangement is not None else None
        planes = _planes(arrangement, pictures)
        rows, columns = (
            (first.rows, first.columns) if first else (pictures[0].rows or 1, pictures[0].columns or 1)
        )
        spacing = None
        if arrangement is not None and arrangement.affine is not None and len(planes) > 1:
            spacing = float(np.linalg.norm(arrangement.affine[:3, 0]))
        scale = scale_of(self._archive, series_uid, facts.modality)
        return SeriesView(
            series_uid=series_uid,
            imaging_study_uid=facts.imaging_study_uid,
            pseudonym=str(facts.pseudonym),
            modality=facts.modality,
            description=facts.description,
            body_part=facts.body_part,
            rows=rows,
            columns=columns,
            pixel_spacing_mm=first.pixel_spacing_mm if first else None,
            slice_spacing_mm=spacing,
            plane_name=plane_name(first.orientation) if first else "",
            edges=edge_letters(first.orientation) if first else None,
            planes=planes,
            presets=self._presets(facts.modality, planes[len(planes) // 2], scale),
            findings=findings,
            segments=self._segments(series_uid),
            has_overlays=arrangement is not None and arrangement.is_regular,
            scale=scale,
        )

    def _arrange(self, series_uid: str) -> tuple[Arrangement | None, tuple[tuple[str, str], ...]]:
        try:
            arrangement = self._archive.arrange(series_uid)
        except UnsuitableObject as error:
            return None, ((FINDING_LABELS["no_geometry"], error.public_message),)
        messages = tuple(
            (FINDING_LABELS[finding.code.value], finding.message) for finding in arrangement.findings
        )
        return (arrangement if arrangement.frames else None), messages

    def _presets(self, modality: str, middle: Plane, scale: Scale) -> tuple[WindowPreset, ...]:
        dataset = self._read(self._archive.instance(middle.sop_instance_uid))
        if int(dataset.get("SamplesPerPixel", 1)) != 1:
            return ()
        try:
            automatic = automatic_window(output_values(dataset, middle.frame - 1))
        except UndecodablePixels:
            return ()
        proposed = header_window(dataset)
        return presets_for(
            modality,
            (proposed.centre, proposed.width) if proposed else None,
            (round(automatic.centre, 3), round(automatic.width, 3)),
            scale,
        )

    def _segments(self, series_uid: str) -> tuple[SegmentEntry, ...]:
        entries: list[SegmentEntry] = []
        hidden = self._superseded(series_uid)
        for row in self._archive.segmentations(series_uid):
            if row.sop_instance_uid in hidden:
                continue
            with self._archive.open_object(row) as stream:
                header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=["SegmentSequence"])
            for segment in segments_of(header):
                kind = segment.algorithm_name or segment.algorithm_type.lower()
                entries.append(
                    SegmentEntry(
                        key=f"{row.sop_instance_uid}:{segment.number}",
                        name=segment.name or segment.label.meaning,
                        code=segment.label.key if segment.label.value else "",
                        algorithm=kind,
                        colour=_free(segment.colour, entries),
                        meaning=segment.label.meaning,
                        is_automatic=segment.algorithm_type == "AUTOMATIC",
                    )
                )
        for row, dataset in structure_sets(self._archive, series_uid):
            for number, name, colour in regions_of(dataset):
                key = f"{row.sop_instance_uid}:{number}"
                entries.append(
                    SegmentEntry(key, name or str(number), "", STRUCTURE_SET, _free(colour, entries))
                )
        return tuple(entries)

    def _read(self, row: InstanceRow) -> Dataset:
        return pydicom.dcmread(io.BytesIO(self._archive.read_object(row)))


def _free(colour: str, entries: Sequence[SegmentEntry]) -> str:
    """Take the colour that a mask brings, unless one before it has it; then the next of the palette."""
    taken = {entry.colour for entry in entries}
    turn = PALETTE[len(entries) % len(PALETTE)]
    wanted = (colour, turn, *PALETTE)
    return next((item for item in wanted if item and item not in taken), turn)


def _planes(arrangement: Arrangement | None, pictures: list[InstanceRow]) -> tuple[Plane, ...]:
    if arrangement is None:
        return tuple(
            Plane(row.sop_instance_uid, number)
            for row in pictures
            for number in range(1, row.frame_count + 1)
        )
    normal = np.cross(arrangement.frames[0].orientation[:3], arrangement.frames[0].orientation[3:])
    return tuple(
        Plane(frame.sop_instance_uid, frame.number, round(float(np.dot(frame.position_mm, normal)), 3))
        for frame in arrangement.frames
    )


def _remember(cache: OrderedDict[_Key, T], key: _Key, value: T) -> None:
    cache[key] = value
    while len(cache) > REMEMBERED_SERIES:
        cache.popitem(last=False)
