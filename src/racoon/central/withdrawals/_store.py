"""Table of tombstones."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

tombstone = sa.Table(
    "tombstone",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("tombstone_id", sa.String(80), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("subject", sa.String(64), nullable=False),
    sa.Column("run_ids", Json, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("envelope_id", sa.String(36), nullable=False),
)


def load(connection: sa.Connection, site: str, tombstone_id: str) -> datetime | None:
    """Load when a tombstone was received first."""
    query = sa.select(tombstone.c.received_at).where(
        tombstone.c.site == site, tombstone.c.tombstone_id == tombstone_id
    )
    found: datetime | None = connection.execute(query).scalar()
    return found


def insert(connection: sa.Connection, **values: Any) -> None:
    """Write a tombstone."""
    connection.execute(tombstone.insert().values(**values))


def load_of_study(connection: sa.Connection, study_id: str) -> list[sa.Row[Any]]:
    """Load the tombstones of a study, oldest first."""
    query = sa.select(tombstone).where(tombstone.c.study_id == study_id)
    return list(connection.execute(query.order_by(tombstone.c.received_at, tombstone.c.tombstone_id)))
