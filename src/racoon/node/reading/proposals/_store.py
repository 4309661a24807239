"""Table of proposals: one row per reader, imaging study, template and question."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

proposals = sa.Table(
    "reading_proposal",
    metadata("node"),
    sa.Column("imaging_study_uid", sa.String(64), primary_key=True),
    sa.Column("reader", sa.String(80), primary_key=True),
    sa.Column("template_url", sa.String(200), primary_key=True),
    sa.Column("path", sa.String(200), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("answer", Json, nullable=False),
    sa.Column("source", Json, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
    sa.Column("decided_at", UtcDateTime),
)


def load(
    connection: sa.Connection, imaging_study_uid: str, reader: str, template_url: str
) -> list[sa.Row[Any]]:
    """Load what was proposed to a reader."""
    query = sa.select(proposals).where(*_of(imaging_study_uid, reader, template_url))
    return list(connection.execute(query.order_by(proposals.c.path)))


def insert(connection: sa.Connection, **values: Any) -> None:
    """Add a proposal."""
    connection.execute(sa.insert(proposals).values(**values))


def decide(
    connection: sa.Connection,
    imaging_study_uid: str,
    reader: str,
    template_url: str,
    path: str,
    state: str,
    at: datetime,
) -> int:
    """Note a decision; returns how many rows changed."""
    statement = (
        sa.update(proposals)
        .where(*_of(imaging_study_uid, reader, template_url), proposals.c.path == path)
        .values(state=state, decided_at=at)
    )
    return int(connection.execute(statement).rowcount)


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's proposals; returns how many rows."""
    return int(connection.execute(sa.delete(proposals).where(proposals.c.pseudonym == pseudonym)).rowcount)


def _of(imaging_study_uid: str, reader: str, template_url: str) -> tuple[sa.ColumnElement[bool], ...]:
    columns = proposals.c
    return (
        columns.imaging_study_uid == imaging_study_uid,
        columns.reader == reader,
        columns.template_url == template_url,
    )
