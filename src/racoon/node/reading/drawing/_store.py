"""Tables of drawings: one row per drawing, and one per segment and slice that has pixels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.reading.drawing.model import Drawing, DrawnSegment
from racoon.platform.database import Json, UtcDateTime, metadata

drawings = sa.Table(
    "reading_drawing",
    metadata("node"),
    sa.Column("drawing_id", sa.String(36), primary_key=True),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("author", sa.String(80), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("segments", Json, nullable=False),
    sa.Column("finished", Json, nullable=False),
    sa.Column("finished_revision", sa.Integer, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("series_uid", "author", name="uq_reading_drawing_series_uid"),
)

slices = sa.Table(
    "reading_drawing_slice",
    metadata("node"),
    sa.Column("drawing_id", sa.String(36), primary_key=True),
    sa.Column("segment", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
    sa.Column("frame", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("runs", Json, nullable=False),
    sa.Column("voxels", sa.Integer, nullable=False),
)

Place = tuple[str, int]
"""SOP Instance UID and frame number from 1."""


def load(connection: sa.Connection, series_uid: str, author: str) -> Drawing | None:
    """Load a reader's drawing on a series."""
    row = connection.execute(
        sa.select(drawings).where(drawings.c.series_uid == series_uid, drawings.c.author == author)
    ).one_or_none()
    return None if row is None else _drawing_of(row)


def _drawing_of(row: sa.Row[Any]) -> Drawing:
    return Drawing(
        drawing_id=row.drawing_id,
        series_uid=row.series_uid,
        imaging_study_uid=row.imaging_study_uid,
        pseudonym=Pseudonym(row.pseudonym),
        author=row.author,
        revision=row.revision,
        changed_at=row.changed_at,
        segments=tuple(DrawnSegment.from_dict(item) for item in row.segments),
        finished=tuple(row.finished),
        finished_revision=row.finished_revision,
    )


def save(connection: sa.Connection, drawing: Drawing) -> bool:
    """Insert a drawing, or replace its row where it still has the revision before; tells whether it did."""
    values = {
        "revision": drawing.revision,
        "segments": [segment.to_dict() for segment in drawing.segments],
        "finished": list(drawing.finished),
        "finished_revision": drawing.finished_revision,
        "changed_at": drawing.changed_at,
    }
    if drawing.revision > 1:
        changed = connection.execute(
            sa.update(drawings)
            .where(drawings.c.drawing_id == drawing.drawing_id, drawings.c.revision == drawing.revision - 1)
            .values(values)
        )
        return bool(changed.rowcount)
    connection.execute(
        sa.insert(drawings).values(
            drawing_id=drawing.drawing_id,
            series_uid=drawing.series_uid,
            imaging_study_uid=drawing.imaging_study_uid,
            pseudonym=str(drawing.pseudonym),
            author=drawing.author,
            **values,
        )
    )
    return True


def write_slices(
    connection: sa.Connection, drawing_id: str, changes: Iterable[tuple[int, Place, Sequence[int]]]
) -> None:
    """Replace the runs of segments on slices; no runs remove the row."""
    columns = slices.c
    rows = list(changes)
    for segment, (instance, frame), _ in rows:
        connection.execute(
            sa.delete(slices).where(
                columns.drawing_id == drawing_id,
                columns.segment == segment,
                columns.sop_instance_uid == instance,
                columns.frame == frame,
            )
        )
    # The last one wins where a batch holds a slice twice.
    kept = {(segment, place): runs for segment, place, runs in rows}
    values = [
        {
            "drawing_id": drawing_id,
            "segment": segment,
            "sop_instance_uid": place[0],
            "frame": place[1],
            "runs": list(runs),
            "voxels": sum(runs[1::2]),
        }
        for (segment, place), runs in kept.items()
        if runs
    ]
    if values:
        connection.execute(sa.insert(slices), values)


def load_slices(
    connection: sa.Connection, drawing_id: str, segment: int | None = None
) -> list[tuple[int, Place, list[int]]]:
    """Load what is drawn, of one segment or of all."""
    query = sa.select(slices).where(slices.c.drawing_id == drawing_id)
    if segment is not None:
        query = query.where(slices.c.segment == segment)
    return [(row.segment, (row.sop_instance_uid, row.frame), row.runs) for row in connection.execute(query)]


def voxel_counts(connection: sa.Connection, drawing_id: str) -> dict[int, int]:
    """Count the voxels of each segment that has any."""
    query = (
        sa.select(slices.c.segment, sa.func.sum(slices.c.voxels))
        .where(slices.c.drawing_id == drawing_id)
        .group_by(slices.c.segment)
    )
    return {segment: int(count) for segment, count in connection.execute(query)}


def largest_slices(connection: sa.Connection, drawing_id: str) -> dict[int, Place]:
    """Return where each segment that has pixels is largest."""
    query = (
        sa.select(slices.c.segment, slices.c.sop_instance_uid, slices.c.frame)
        .where(slices.c.drawing_id == drawing_id, slices.c.voxels > 0)
        .order_by(slices.c.voxels, slices.c.sop_instance_uid.desc(), slices.c.frame.desc())
    )
    # The last one of each segment stays.
    return {segment: (instance, frame) for segment, instance, frame in connection.execute(query)}


def drop_segment(connection: sa.Connection, drawing_id: str, segment: int) -> None:
    """Remove what is drawn of a segment."""
    connection.execute(
        sa.delete(slices).where(slices.c.drawing_id == drawing_id, slices.c.segment == segment)
    )


def finished_of_series(connection: sa.Connection, series_uid: str) -> list[list[str]]:
    """List the segmentations that each drawing on a series was stored as, the newest last."""
    query = sa.select(drawings.c.finished).where(drawings.c.series_uid == series_uid)
    return [list(found) for found in connection.execute(query).scalars()]


def finished_of_others(connection: sa.Connection, series_uid: str, author: str) -> list[list[str]]:
    """List the segmentations that drawings of other authors on a series were stored as."""
    query = sa.select(drawings.c.finished).where(
        drawings.c.series_uid == series_uid, drawings.c.author != author
    )
    return [list(found) for found in connection.execute(query).scalars()]


def load_of_study(connection: sa.Connection, imaging_study_uid: str) -> list[Drawing]:
    """Load every reader's drawings on an imaging study, without their pixels."""
    query = sa.select(drawings).where(drawings.c.imaging_study_uid == imaging_study_uid)
    return [_drawing_of(row) for row in connection.execute(query)]


def give(connection: sa.Connection, imaging_study_uid: str, author: str, to: str) -> int:
    """Give an author's drawings on an imaging study to another one who has none there; returns how many."""
    own = sa.select(drawings.c.series_uid).where(drawings.c.author == to)
    changed = connection.execute(
        sa.update(drawings)
        .where(
            drawings.c.imaging_study_uid == imaging_study_uid,
            drawings.c.author == author,
            drawings.c.series_uid.not_in(own),
        )
        .values(author=to)
    )
    return int(changed.rowcount)


def finished_on_studies(
    connection: sa.Connection, author: str, imaging_study_uids: sa.Select[Any], *, own: bool = False
) -> sa.Select[Any]:
    """Select the segmentations that drawings of other authors, or own ones, were stored as on some imaging studies."""
    is_postgresql = connection.dialect.name == "postgresql"
    expand = sa.func.jsonb_array_elements_text if is_postgresql else sa.func.json_each
    stored = expand(drawings.c.finished).table_valued("value", name="finished_entry")
    return (
        sa.select(stored.c.value)
        .select_from(drawings.join(stored, sa.true()))
        .where(
            drawings.c.author == author if own else drawings.c.author != author,
            drawings.c.imaging_study_uid.in_(imaging_study_uids),
        )
    )


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's drawings; returns how many rows."""
    own = sa.select(drawings.c.drawing_id).where(drawings.c.pseudonym == pseudonym)
    removed = connection.execute(sa.delete(slices).where(slices.c.drawing_id.in_(own))).rowcount
    return int(removed) + int(
        connection.execute(sa.delete(drawings).where(drawings.c.pseudonym == pseudonym)).rowcount
    )
