"""Table of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import sqlalchemy as sa

from racoon.node.reading.queries.model import Query
from racoon.platform.database import UtcDateTime, metadata

queries = sa.Table(
    "reading_query",
    metadata("node"),
    sa.Column("query_id", sa.String(36), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("reader", sa.String(80), nullable=False),
    sa.Column("template_url", sa.String(200), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("path", sa.String(200), nullable=False),
    sa.Column("check_key", sa.String(64), nullable=False),
    sa.Column("text", sa.String(500), nullable=False),
    sa.Column("raised_by", sa.String(80), nullable=False),
    sa.Column("raised_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("answer", sa.String(500), nullable=False),
    sa.Column("answered_at", UtcDateTime),
    sa.Column("closed_by", sa.String(80), nullable=False),
    sa.Column("closed_at", UtcDateTime),
    sa.Index("ix_reading_query_report", "imaging_study_uid", "reader"),
)


def insert(connection: sa.Connection, query: Query) -> None:
    """Add a query."""
    connection.execute(sa.insert(queries).values(**asdict(query)))


def save(connection: sa.Connection, query: Query) -> None:
    """Replace a query."""
    values = asdict(query)
    connection.execute(sa.update(queries).where(queries.c.query_id == values.pop("query_id")).values(values))


def load(connection: sa.Connection, query_id: str) -> Query | None:
    """Load one."""
    row = (
        connection.execute(sa.select(queries).where(queries.c.query_id == query_id)).mappings().one_or_none()
    )
    return Query(**row) if row is not None else None


def of_report(
    connection: sa.Connection, imaging_study_uid: str, reader: str, template_url: str
) -> list[Query]:
    """Load the queries of a report, the oldest first."""
    columns = queries.c
    query = (
        sa.select(queries)
        .where(
            columns.imaging_study_uid == imaging_study_uid,
            columns.reader == reader,
            columns.template_url == template_url,
        )
        .order_by(columns.raised_at, columns.query_id)
    )
    return [Query(**row) for row in connection.execute(query).mappings()]


def of_studies(
    connection: sa.Connection, imaging_study_uids: Sequence[str], template_url: str
) -> list[Query]:
    """Load the queries of a template on some imaging studies, the newest first."""
    columns, found = queries.c, []
    for first in range(0, len(imaging_study_uids), 500):
        part = imaging_study_uids[first : first + 500]
        query = sa.select(queries).where(
            columns.imaging_study_uid.in_(part), columns.template_url == template_url
        )
        found += [Query(**row) for row in connection.execute(query).mappings()]
    return sorted(found, key=lambda item: (item.raised_at, item.query_id), reverse=True)


def load_all(connection: sa.Connection) -> list[Query]:
    """Load every query, the newest first."""
    query = sa.select(queries).order_by(queries.c.raised_at.desc(), queries.c.query_id.desc())
    return [Query(**row) for row in connection.execute(query).mappings()]


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's queries; returns how many rows."""
    return int(connection.execute(sa.delete(queries).where(queries.c.pseudonym == pseudonym)).rowcount)
