"""What one may ask of drawings: read, save strokes, let the node work on a segment, finish as DICOM SEG."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.domain.labels import Label
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.service import Archive
from racoon.node.reading.drawing import _store
from racoon.node.reading.drawing._finishing import write_segmentation
from racoon.node.reading.drawing._work import Canvas, adopt, work
from racoon.node.reading.drawing.model import (
    MOST_SEGMENTS,
    BadDrawing,
    Drawing,
    DrawingChanged,
    DrawingState,
    DrawnSegment,
    SliceChange,
    Wish,
)
from racoon.node.reading.model import SeriesView, mask_of_runs
from racoon.node.reading.service import Reading
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database

Voxels = npt.NDArray[np.bool_]
"""Shape (slices, rows, columns)."""

Follower = Callable[[sa.Connection, User, DrawingState, Mapping[int, _store.Place]], None]


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the drawings on a subject; returns how many rows."""
    return _store.forget_subject(connection, pseudonym)


def superseded(database: Database, series_uid: str) -> frozenset[str]:
    """Return the segmentations of a series that a later state of the same drawing replaced."""
    with database.connect() as connection:
        found = _store.finished_of_series(connection, series_uid)
    return frozenset(uid for finished in found for uid in finished[:-1])


def drawn_by(database: Database, series_uid: str, author: str) -> frozenset[str]:
    """Return the segmentations of a series that a reader drew."""
    with database.connect() as connection:
        found = _store.load(connection, series_uid, author)
    return frozenset(found.finished) if found else frozenset()


def drawn_by_others(database: Database, series_uid: str, author: str) -> frozenset[str]:
    """Return the segmentations of a series that other readers drew."""
    with database.connect() as connection:
        found = _store.finished_of_others(connection, series_uid, author)
    return frozenset(uid for finished in found for uid in finished)


def finished_on_study(connection: sa.Connection, imaging_study_uid: str) -> list[Drawing]:
    """Return the drawings on an imaging study that were stored in the archive, of every reader."""
    return [item for item in _store.load_of_study(connection, imaging_study_uid) if item.finished]


def stored_by_others(
    connection: sa.Connection, author: str, imaging_study_uids: sa.Select[Any]
) -> sa.Select[Any]:
    """Select the segmentations that other readers stored of some imaging studies."""
    return _store.finished_on_studies(connection, author, imaging_study_uids)


def stored_by(connection: sa.Connection, author: str, imaging_study_uids: sa.Select[Any]) -> sa.Select[Any]:
    """Select the segmentations that a reader stored of some imaging studies."""
    return _store.finished_on_studies(connection, author, imaging_study_uids, own=True)


def hand_over(connection: sa.Connection, imaging_study_uid: str, author: str, to: str) -> int:
    """Give a reader's drawings on an imaging study to another one; returns how many."""
    return _store.give(connection, imaging_study_uid, author, to)


class Drawings:
    """Masks that readers draw.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive, reading
        The images, and their slices in order.
    objects
        Where a finished segmentation goes.
    follow
        What changes with a drawing, in its transaction: told who drew, the state, and where each segment is largest.
    """

    def __init__(
        self,
        database: Database,
        audit: AuditLog,
        archive: Archive,
        reading: Reading,
        objects: DerivedObjects,
        follow: Follower = lambda _connection, _user, _state, _largest: None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive
        self._reading = reading
        self._objects = objects
        self._follow = follow

    def get(self, user: User, series_uid: str) -> DrawingState:
        """Return the reader's own drawing with its pixels; one that was never saved has revision 0."""
        view = self._reading.view(series_uid)
        with self._database.connect() as connection:
            drawing = self._load(connection, user, view)
            found = _store.load_slices(connection, drawing.drawing_id)
            volumes = self._volumes(connection, drawing)
        return DrawingState(drawing, self._indexed(view, found), volumes)

    def save(
        self,
        user: User,
        series_uid: str,
        based_on: int,
        changes: Sequence[SliceChange],
        begun: Mapping[int, Label] = MappingProxyType({}),
    ) -> DrawingState:
        """Save strokes.

        Parameters
        ----------
        begun
            Labels of segments that strokes begin, by number; those that the drawing has already stay as they are.

        Raises
        ------
        BadRuns, BadDrawing
            If they do not fit the series or the drawing.
        SegmentLocked, DrawingChanged
        """
        view = self._reading.view(series_uid)
        for change in changes:
            if not 0 <= change.index < len(view.planes):
                raise BadDrawing("The series has no such slice.")
            mask_of_runs(change.runs, (view.rows, view.columns))
        with self._database.begin() as connection:
            drawing = self._next(connection, user, view, based_on)
            for number, label in sorted(begun.items()):
                drawing = _with_begun(drawing, number, label)
            numbers = {change.segment for change in changes}
            for number in numbers:
                drawing.segment(number)
            return self._write(connection, user, view, drawing.changed(numbers), changes)

    def add_segment(self, user: User, series_uid: str, based_on: int, label: Label) -> DrawingState:
        """Add an empty segment that means one of a label map's concepts."""
        return self._describe(user, series_uid, based_on, lambda drawing: _with_segment(drawing, label))

    def change_segment(
        self, user: User, series_uid: str, based_on: int, number: int, *, lock: bool
    ) -> DrawingState:
        """Lock or unlock a segment."""

        def change(drawing: Drawing) -> Drawing:
            return replace(
                drawing,
                segments=tuple(
                    replace(segment, is_locked=lock) if segment.number == number else segment
                    for segment in drawing.segments
                ),
            )

        return self._describe(user, series_uid, based_on, change)

    def remove_segment(self, user: User, series_uid: str, based_on: int, number: int) -> DrawingState:
        """Remove an unlocked segment with its pixels."""
        view = self._reading.view(series_uid)
        with self._database.begin() as connection:
            drawing = self._next(connection, user, view, based_on)
            gone = drawing.segment(number)
            kept = replace(drawing, segments=tuple(item for item in drawing.segments if item != gone))
            _store.drop_segment(connection, drawing.drawing_id, number)
            return self._write(connection, user, view, kept, ())

    def adopt(self, user: User, series_uid: str, based_on: int, sop_instance_uid: str) -> DrawingState:
        """Take the segments of a stored segmentation over, to correct them.

        Raises
        ------
        SeriesNotFound
            If there is no such segmentation of this series.
        """
        view = self._reading.view(series_uid)
        canvas = self._canvas(view)
        taken = adopt(self._archive, canvas, sop_instance_uid)
        with self._database.begin() as connection:
            drawing = self._next(connection, user, view, based_on)
            changes: list[SliceChange] = []
            for segment, mask in taken:
                drawing = _with_segment(drawing, segment.label, segment.origin, segment.algorithm)
                changes += canvas.changes(drawing.segments[-1].number, mask)
            return self._write(connection, user, view, drawing, changes)

    def work(self, user: User, series_uid: str, based_on: int, wish: Wish) -> DrawingState:
        """Let the node change a segment; the answer has the slices that changed.

        Raises
        ------
        NoGrid
            If the pictures of the series form no regular grid.
        BadDrawing, SegmentLocked, DrawingChanged
        """
        view = self._reading.view(series_uid)
        canvas = self._canvas(view)
        with self._database.connect() as connection:
            before = self._load(connection, user, view)
            before.segment(wish.segment)
            masks = {
                number: canvas.mask(_store.load_slices(connection, before.drawing_id, number))
                for number in {wish.segment, wish.other} - {0}
            }
        mask = work(self._archive, canvas, wish, masks)
        changes = canvas.changes(wish.segment, mask, masks[wish.segment])
        with self._database.begin() as connection:
            drawing = self._next(connection, user, view, based_on)
            touched = drawing.changed({change.segment for change in changes})
            return self._write(connection, user, view, touched, changes)

    def masks(self, user: User, series_uid: str) -> dict[str, tuple[str, Voxels]]:
        """Return what a person has drawn on a series: English name and voxels by key of the label."""
        view = self._reading.view(series_uid)
        with self._database.connect() as connection:
            drawing = self._load(connection, user, view)
            found = _store.load_slices(connection, drawing.drawing_id)
        if not found:
            return {}
        canvas = self._canvas(view)
        united: dict[str, tuple[str, Voxels]] = {}
        for segment in drawing.segments:
            voxels = canvas.mask([row for row in found if row[0] == segment.number])
            key = segment.label.code.key
            before = united[key][1] if key in united else np.zeros_like(voxels)
            united[key] = (segment.label.code.meaning, before | voxels)
        return {key: item for key, item in united.items() if item[1].any()}

    def finish(self, user: User, series_uid: str, based_on: int, client: str | None = None) -> DrawingState:
        """Store the drawing as DICOM SEG in the archive; finishing the same state again changes nothing.

        Raises
        ------
        BadDrawing
            If nothing is drawn.
        NoGrid, DrawingChanged
        """
        view = self._reading.view(series_uid)
        canvas = self._canvas(view)
        with self._database.connect() as connection:
            drawing = self._load(connection, user, view)
            if drawing.revision != based_on:
                raise _changed()
            if drawing.finished and drawing.finished_revision == drawing.revision:
                return DrawingState(drawing, (), self._volumes(connection, drawing))
            found = _store.load_slices(connection, drawing.drawing_id)
        masks = {
            segment.number: canvas.mask([row for row in found if row[0] == segment.number])
            for segment in drawing.segments
        }
        data = write_segmentation(self._archive, canvas, drawing, masks)
        outcome = self._objects.store(data, imaging_study_uid=view.imaging_study_uid)
        self._objects.record([outcome], actor=user.name, actor_role=user.main_role)
        if outcome.failure:
            raise BadDrawing(outcome.reason)
        with self._database.begin() as connection:
            current = self._next(connection, user, view, based_on)
            uids = tuple(uid for uid in drawing.finished if uid != outcome.sop_instance_uid)
            done = replace(current, finished=(*uids, outcome.sop_instance_uid))
            done = replace(done, finished_revision=done.revision)
            state = self._write(connection, user, view, done, ())
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="drawing.finish",
                target=f"series/{series_uid}",
                client=client,
                details={
                    "instance": outcome.sop_instance_uid,
                    "pseudonym": str(drawing.pseudonym),
                    "began_as": sorted({item.origin for item in drawing.segments if item.origin}),
                },
            )
        return state

    # -- inside

    def _canvas(self, view: SeriesView) -> Canvas:
        return Canvas.of(self._archive, view)

    def _load(self, connection: sa.Connection, user: User, view: SeriesView) -> Drawing:
        found = _store.load(connection, view.series_uid, user.name)
        return found or Drawing(
            drawing_id=str(uuid.uuid4()),
            series_uid=view.series_uid,
            imaging_study_uid=view.imaging_study_uid,
            pseudonym=Pseudonym(view.pseudonym),
            author=user.name,
            revision=0,
            changed_at=clock.now(),
        )

    def _next(self, connection: sa.Connection, user: User, view: SeriesView, based_on: int) -> Drawing:
        """Return the drawing with its next revision, not yet written."""
        drawing = self._load(connection, user, view)
        if drawing.revision != based_on:
            raise _changed()
        return replace(drawing, revision=based_on + 1, changed_at=clock.now())

    def _write(
        self,
        connection: sa.Connection,
        user: User,
        view: SeriesView,
        drawing: Drawing,
        changes: Sequence[SliceChange],
    ) -> DrawingState:
        if not _store.save(connection, drawing):
            raise _changed()
        rows = (
            (
                change.segment,
                (view.planes[change.index].sop_instance_uid, view.planes[change.index].frame),
                change.runs,
            )
            for change in changes
        )
        _store.write_slices(connection, drawing.drawing_id, rows)
        state = DrawingState(drawing, tuple(changes), self._volumes(connection, drawing))
        self._follow(connection, user, state, _store.largest_slices(connection, drawing.drawing_id))
        return state

    def _describe(
        self, user: User, series_uid: str, based_on: int, change: Callable[[Drawing], Drawing]
    ) -> DrawingState:
        view = self._reading.view(series_uid)
        with self._database.begin() as connection:
            drawing = change(self._next(connection, user, view, based_on))
            return self._write(connection, user, view, drawing, ())

    def _volumes(self, connection: sa.Connection, drawing: Drawing) -> dict[int, float]:
        counts = _store.voxel_counts(connection, drawing.drawing_id)
        if not counts:
            return {}
        voxel_ml = Canvas.voxel_ml(self._archive, drawing.series_uid)
        return {number: count * voxel_ml for number, count in counts.items()}

    def _indexed(
        self, view: SeriesView, found: Iterable[tuple[int, _store.Place, list[int]]]
    ) -> tuple[SliceChange, ...]:
        at = {(plane.sop_instance_uid, plane.frame): index for index, plane in enumerate(view.planes)}
        return tuple(
            SliceChange(segment, at[place], tuple(runs)) for segment, place, runs in found if place in at
        )


def _with_begun(drawing: Drawing, number: int, label: Label) -> Drawing:
    """Add a segment that a page began by itself; the same one again changes nothing."""
    if all(segment.number != number for segment in drawing.segments):
        drawing = _with_segment(drawing, label)
    if not any(item.number == number and item.label.code == label.code for item in drawing.segments):
        raise _changed()
    return drawing


def _with_segment(drawing: Drawing, label: Label, origin: str = "", algorithm: str = "") -> Drawing:
    if len(drawing.segments) >= MOST_SEGMENTS:
        raise BadDrawing("A drawing has at most 255 segments.")
    number = max((segment.number for segment in drawing.segments), default=0) + 1
    added = DrawnSegment(number, label, origin=origin, algorithm=algorithm)
    return replace(drawing, segments=(*drawing.segments, added))


def _changed() -> DrawingChanged:
    return DrawingChanged("The drawing was changed in another window. Load the page again.")
