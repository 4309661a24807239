"""Saved mappings of tables, version after version; names of columns and codes, nothing of a row."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

mapping = sa.Table(
    "clinical_table_mapping",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("title", sa.String(100), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("content", Json, nullable=False),
    sa.Column("content_hash", sa.String(64), nullable=False),
    sa.Column("saved_by", sa.String(80), nullable=False),
    sa.Column("saved_at", UtcDateTime, nullable=False),
    sa.UniqueConstraint("title", "version", name="uq_clinical_table_mapping_version"),
)


def insert(connection: sa.Connection, title: str, content: dict[str, Any], digest: str, by: str) -> int:
    """Save the next version of a mapping; returns its number."""
    newest = sa.select(sa.func.max(mapping.c.version)).where(mapping.c.title == title)
    version = (connection.execute(newest).scalar_one() or 0) + 1
    row = {"title": title, "version": version, "content": content, "content_hash": digest}
    done = connection.execute(sa.insert(mapping).values(row | {"saved_by": by[:80], "saved_at": clock.now()}))
    key = done.inserted_primary_key
    assert key is not None
    return int(key[0])


def load(connection: sa.Connection, number: int) -> dict[str, Any] | None:
    """Return one version."""
    row = connection.execute(sa.select(mapping).where(mapping.c.id == number)).one_or_none()
    return None if row is None else dict(row._mapping)


def find(connection: sa.Connection, title: str, version: int | None = None) -> dict[str, Any] | None:
    """Return a version of a title; the newest when None."""
    query = sa.select(mapping).where(mapping.c.title == title).order_by(mapping.c.version.desc()).limit(1)
    if version is not None:
        query = query.where(mapping.c.version == version)
    row = connection.execute(query).one_or_none()
    return None if row is None else dict(row._mapping)


def load_all(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return every version, by title, the newest first."""
    query = sa.select(mapping).order_by(mapping.c.title, mapping.c.version.desc())
    return [dict(row._mapping) for row in connection.execute(query)]
