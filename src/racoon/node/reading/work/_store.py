"""Table of reading tasks: one row per list, imaging study and reader."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.reading.practice.service import hidden_studies
from racoon.node.reading.work.model import ADJUDICATE, READ, ReadingTask
from racoon.platform.database import UtcDateTime, metadata
from racoon.platform.prepared import PreparedSelect

tasks = sa.Table(
    "reading_task",
    metadata("node"),
    sa.Column("list_name", sa.String(80), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), primary_key=True),
    sa.Column("reader", sa.String(80), primary_key=True),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("template_url", sa.String(200), nullable=False),
    sa.Column("is_blinded", sa.Boolean, nullable=False),
    sa.Column("priority", sa.Integer, nullable=False),
    sa.Column("due_on", sa.String(10), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("done_at", UtcDateTime),
    sa.Column("duty", sa.String(12), nullable=False, server_default=READ),
    sa.Column("hides_machines", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Column("protocol", sa.String(80), nullable=False, server_default=""),
    sa.Column("hides_names", sa.Boolean, nullable=False, server_default=sa.false()),
    sa.Index("ix_reading_task_reader", "reader"),
)


def insert_missing(connection: sa.Connection, rows: Sequence[ReadingTask]) -> int:
    """Add tasks that are not there yet; returns how many."""
    added = 0
    for task in rows:
        known = connection.execute(
            sa.select(tasks.c.reader).where(
                tasks.c.list_name == task.list_name,
                tasks.c.imaging_study_uid == task.imaging_study_uid,
                tasks.c.reader == task.reader,
            )
        ).first()
        if known is None:
            connection.execute(
                sa.insert(tasks).values(
                    list_name=task.list_name,
                    imaging_study_uid=task.imaging_study_uid,
                    reader=task.reader,
                    series_uid=task.series_uid,
                    pseudonym=str(task.pseudonym),
                    template_url=task.template_url,
                    is_blinded=task.is_blinded,
                    priority=task.priority,
                    due_on=task.due_on,
                    position=task.position,
                    duty=task.duty,
                    hides_machines=task.hides_machines,
                    protocol=task.protocol,
                    hides_names=task.hides_names,
                )
            )
            added += 1
    return added


def load(
    connection: sa.Connection, *, reader: str = "", list_name: str = "", imaging_study_uid: str = ""
) -> list[ReadingTask]:
    """Load tasks in the order they are to be read: open ones first, by priority, due date and own order."""
    query = sa.select(tasks)
    if reader:
        query = query.where(tasks.c.reader == reader)
    if list_name:
        query = query.where(tasks.c.list_name == list_name)
    if imaging_study_uid:
        query = query.where(tasks.c.imaging_study_uid == imaging_study_uid)
    found = [_task_of(row) for row in connection.execute(query)]
    return sorted(
        found,
        key=lambda task: (
            task.done_at is not None,
            -task.priority,
            task.due_on or "9999",
            task.list_name,
            task.position,
            task.reader,
        ),
    )


def give(connection: sa.Connection, task: ReadingTask, to: str) -> None:
    """Give a task to another reader."""
    connection.execute(
        sa.update(tasks)
        .where(
            tasks.c.list_name == task.list_name,
            tasks.c.imaging_study_uid == task.imaging_study_uid,
            tasks.c.reader == task.reader,
        )
        .values(reader=to)
    )


def list_names(connection: sa.Connection) -> list[str]:
    """Load the names of all lists."""
    return list(
        connection.execute(sa.select(tasks.c.list_name).distinct().order_by(tasks.c.list_name)).scalars()
    )


def blinded_studies(reader: str | sa.BindParameter[str], *, to_machines: bool = False) -> sa.Select[Any]:
    """Select the imaging studies of which a reader must see nothing of others: a reader of a blinded list, until
    every reader of the list is done with the case; and whoever practises on it, until the reference may be seen.

    Parameters
    ----------
    to_machines
        Select those where no stored mask of anybody else is shown either.
    """
    other = tasks.alias()
    read = (
        sa.select(tasks.c.imaging_study_uid)
        .join(
            other,
            sa.and_(
                other.c.list_name == tasks.c.list_name,
                other.c.imaging_study_uid == tasks.c.imaging_study_uid,
            ),
        )
        .where(
            tasks.c.reader == reader,
            tasks.c.hides_machines if to_machines else tasks.c.is_blinded,
            other.c.duty == READ,
            other.c.done_at.is_(None),
        )
    )
    both = sa.union_all(read, hidden_studies(reader)).subquery()
    return sa.select(both.c.imaging_study_uid)


def waiting_cases(connection: sa.Connection, adjudicator: str) -> set[tuple[str, str]]:
    """Return list and imaging study of the decisions for which a reading is still missing."""
    other = tasks.alias()
    query = (
        sa.select(tasks.c.list_name, tasks.c.imaging_study_uid)
        .join(
            other,
            sa.and_(
                other.c.list_name == tasks.c.list_name,
                other.c.imaging_study_uid == tasks.c.imaging_study_uid,
            ),
        )
        .where(
            tasks.c.reader == adjudicator,
            tasks.c.duty == ADJUDICATE,
            other.c.duty == READ,
            other.c.done_at.is_(None),
        )
    )
    return {(row.list_name, row.imaging_study_uid) for row in connection.execute(query)}


def is_blinded(
    connection: sa.Connection, reader: str, imaging_study_uid: str = "", *, to_machines: bool = False
) -> bool:
    """Tell whether a reader is blinded on an imaging study, or on any."""
    if not imaging_study_uid:
        return blindness(connection, reader)[to_machines]
    found = blinded_studies(reader, to_machines=to_machines).subquery()
    query = sa.select(found.c.imaging_study_uid).where(found.c.imaging_study_uid == imaging_study_uid)
    return connection.execute(query.limit(1)).first() is not None


def blindness(connection: sa.Connection, reader: str) -> tuple[bool, bool]:
    """Tell whether a reader is blinded to other readers, and to machines, on any imaging study."""
    ((to_readers, to_machines),) = _blindness().rows(connection, {"asked_reader": reader})
    return bool(to_readers), bool(to_machines)


@functools.cache
def _blindness() -> PreparedSelect:
    # Every search and every retrieval asks this; putting the statement together costs ten times what running it does.
    reader = sa.bindparam("asked_reader", type_=sa.String)
    asked: list[sa.ColumnElement[Any]] = [
        blinded_studies(reader, to_machines=machines).exists() for machines in (False, True)
    ]
    return PreparedSelect(sa.select(*asked))


def close(
    connection: sa.Connection, reader: str, imaging_study_uid: str, template_url: str, at: datetime
) -> int:
    """Mark a reader's tasks on an imaging study as done."""
    statement = (
        sa.update(tasks)
        .where(
            tasks.c.reader == reader,
            tasks.c.imaging_study_uid == imaging_study_uid,
            tasks.c.template_url == template_url,
            tasks.c.done_at.is_(None),
        )
        .values(done_at=at)
    )
    return int(connection.execute(statement).rowcount)


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's tasks; returns how many rows."""
    return int(connection.execute(sa.delete(tasks).where(tasks.c.pseudonym == pseudonym)).rowcount)


def _task_of(row: sa.Row[Any]) -> ReadingTask:
    return ReadingTask(
        list_name=row.list_name,
        imaging_study_uid=row.imaging_study_uid,
        series_uid=row.series_uid,
        pseudonym=Pseudonym(row.pseudonym),
        reader=row.reader,
        template_url=row.template_url,
        is_blinded=row.is_blinded,
        priority=row.priority,
        due_on=row.due_on,
        position=row.position,
        done_at=row.done_at,
        duty=row.duty,
        hides_machines=row.hides_machines,
        protocol=row.protocol,
        hides_names=row.hides_names,
    )
