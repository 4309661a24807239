"""Table of events of a reading: opened, worked on, signed; what the time per case is computed from."""

from __future__ import annotations

from datetime import datetime, timedelta

import sqlalchemy as sa

from racoon.node.reading.work.model import ReadingTask
from racoon.node.reading.work.timing import OPEN, SAVE, Event
from racoon.platform.database import UtcDateTime, metadata

events = sa.Table(
    "reading_event",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("list_name", sa.String(80), nullable=False),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("reader", sa.String(80), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(8), nullable=False),
    sa.Column("at", UtcDateTime, nullable=False),
    sa.Index("ix_reading_event_case", "list_name", "imaging_study_uid", "reader"),
)

SELDOM = timedelta(minutes=1)
"""Work on a case is noted no more often; opening and signing always are."""


def note(connection: sa.Connection, task: ReadingTask, kind: str, at: datetime) -> None:
    """Note an event of an open task; work on a case that was not opened for the list is none."""
    columns = events.c
    where = (
        columns.list_name == task.list_name,
        columns.imaging_study_uid == task.imaging_study_uid,
        columns.reader == task.reader,
    )
    if kind != OPEN:
        last = connection.execute(sa.select(sa.func.max(columns.id)).where(*where)).scalar()
        before = connection.execute(sa.select(columns.at).where(columns.id == last)).scalar()
        if before is None or (kind == SAVE and at - before < SELDOM):
            return
    connection.execute(
        sa.insert(events).values(
            list_name=task.list_name,
            imaging_study_uid=task.imaging_study_uid,
            reader=task.reader,
            pseudonym=str(task.pseudonym),
            kind=kind,
            at=at,
        )
    )


def load(connection: sa.Connection, list_name: str) -> dict[tuple[str, str], list[Event]]:
    """Load the events of a list by reader and imaging study, the oldest first."""
    query = sa.select(events).where(events.c.list_name == list_name).order_by(events.c.id)
    found: dict[tuple[str, str], list[Event]] = {}
    for row in connection.execute(query):
        found.setdefault((row.reader, row.imaging_study_uid), []).append(Event(row.kind, row.at))
    return found


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's events; returns how many rows."""
    return int(connection.execute(sa.delete(events).where(events.c.pseudonym == pseudonym)).rowcount)
