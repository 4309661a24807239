"""Table of the library."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.central.library.model import Entry, ModelState
from racoon.platform.database import Json, UtcDateTime, metadata

library_model = sa.Table(
    "library_model",
    metadata("central"),
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("version", sa.String(20), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("signer", sa.String(64), nullable=False),
    sa.Column("file_sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("card", Json, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("offered_by", sa.String(200), nullable=False),
    sa.Column("offered_at", UtcDateTime, nullable=False),
    sa.Column("decided_by", sa.String(200), nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.UniqueConstraint("name", "version"),
)


def insert(connection: sa.Connection, entry: Entry) -> None:
    """Write a new entry."""
    values = {name: getattr(entry, name) for name in Entry.__dataclass_fields__}
    connection.execute(
        library_model.insert().values(**values | {"card": dict(entry.card), "state": entry.state.value})
    )


def decide(
    connection: sa.Connection, digest: str, state: ModelState, actor: str, at: datetime, reason: str
) -> None:
    """Write a decision."""
    connection.execute(
        library_model.update()
        .where(library_model.c.hash == digest)
        .values(state=state.value, decided_by=actor, decided_at=at, reason=reason)
    )


def load(connection: sa.Connection, digest: str) -> Entry | None:
    """Return an entry."""
    row = connection.execute(sa.select(library_model).where(library_model.c.hash == digest)).one_or_none()
    return _entry(row) if row is not None else None


def load_all(connection: sa.Connection) -> list[Entry]:
    """Return all entries, by name, the newest version first."""
    rows = connection.execute(
        sa.select(library_model).order_by(library_model.c.name, library_model.c.offered_at.desc())
    )
    return [_entry(row) for row in rows]


def _entry(row: sa.Row[Any]) -> Entry:
    values = {name: getattr(row, name) for name in Entry.__dataclass_fields__ if name != "hash"}
    # A row's own attribute of this name is Python's.
    values["hash"] = row._mapping["hash"]
    return Entry(**values | {"state": ModelState(row.state)})
