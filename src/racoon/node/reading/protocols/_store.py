"""Table of reading protocols: one row per version, none ever changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.domain.reading_protocol import ReadingProtocol
from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

protocols = sa.Table(
    "reading_protocol",
    metadata("node"),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("made_by", sa.String(80), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)


def insert(connection: sa.Connection, protocol: ReadingProtocol, made_by: str) -> None:
    """Add a version."""
    connection.execute(
        sa.insert(protocols).values(
            name=protocol.name,
            version=protocol.version,
            document=protocol.to_dict(),
            sha256=protocol.digest(),
            made_by=made_by,
            made_at=clock.now(),
        )
    )


def load(connection: sa.Connection, name: str, version: int) -> sa.Row[Any] | None:
    """Load a version."""
    query = sa.select(protocols).where(protocols.c.name == name, protocols.c.version == version)
    return connection.execute(query).one_or_none()


def load_all(connection: sa.Connection) -> list[sa.Row[Any]]:
    """Load all versions, by name and the newest first."""
    query = sa.select(protocols).order_by(protocols.c.name, protocols.c.version.desc())
    return list(connection.execute(query))
