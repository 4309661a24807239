"""Table of templates written at this node: drafts, and released versions, which never change."""

from __future__ import annotations

from dataclasses import asdict

import sqlalchemy as sa

from racoon.node.reading.reports.drafts import RELEASED, Draft, Signature
from racoon.platform.database import Json, UtcDateTime, metadata

written = sa.Table(
    "reading_template",
    metadata("node"),
    sa.Column("url", sa.String(200), primary_key=True),
    sa.Column("version", sa.String(40), primary_key=True),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("authors", Json, nullable=False),
    sa.Column("signatures", Json, nullable=False),
    sa.Column("notes", Json, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("released_at", UtcDateTime),
)


def load_released(connection: sa.Connection) -> list[tuple[str, str]]:
    """Load hash and text of every released version."""
    query = sa.select(written.c.sha256, written.c.text).where(written.c.state == RELEASED)
    return [(row.sha256, row.text) for row in connection.execute(query)]


def load(connection: sa.Connection, url: str, version: str) -> Draft | None:
    """Load a version."""
    query = sa.select(written).where(written.c.url == url, written.c.version == version)
    row = connection.execute(query).mappings().one_or_none()
    return _draft(row) if row is not None else None


def load_all(connection: sa.Connection) -> list[Draft]:
    """Load all versions by address."""
    query = sa.select(written).order_by(written.c.url, written.c.changed_at.desc())
    return [_draft(row) for row in connection.execute(query).mappings()]


def save(connection: sa.Connection, draft: Draft) -> None:
    """Insert or replace a version."""
    values = asdict(draft)
    key = (written.c.url == draft.url, written.c.version == draft.version)
    if not connection.execute(sa.update(written).where(*key).values(values)).rowcount:
        connection.execute(sa.insert(written).values(values))


def _draft(row: sa.RowMapping) -> Draft:
    values = dict(row)
    values["authors"] = tuple(values["authors"])
    values["signatures"] = tuple(Signature(**item) for item in values["signatures"])
    values["notes"] = tuple(values["notes"])
    return Draft(**values)
