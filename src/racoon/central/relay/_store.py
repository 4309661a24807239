"""Tables of the relay: parcels on their way, and letters that were passed on."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.platform.database import UtcDateTime, metadata

_METADATA = metadata("central")

parcel = sa.Table(
    "relay_parcel",
    _METADATA,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("sender", sa.String(16), nullable=False),
    sa.Column("recipient", sa.String(16), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("opened_at", UtcDateTime, nullable=False),
    sa.Column("whole_at", UtcDateTime),
    sa.Column("gone_at", UtcDateTime),
)

letter = sa.Table(
    "relay_letter",
    _METADATA,
    sa.Column("letter_id", sa.String(36), primary_key=True),
    sa.Column("sender", sa.String(16), nullable=False),
    sa.Column("recipient", sa.String(16), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("passed_at", UtcDateTime, nullable=False),
)


def load(connection: sa.Connection, sha256: str) -> sa.Row[Any] | None:
    """Load a parcel."""
    return connection.execute(sa.select(parcel).where(parcel.c.sha256 == sha256)).one_or_none()


def insert(connection: sa.Connection, **values: Any) -> None:
    """Write a parcel that is announced."""
    connection.execute(parcel.insert().values(**values))


def update(connection: sa.Connection, sha256: str, **values: Any) -> None:
    """Change a parcel."""
    connection.execute(parcel.update().where(parcel.c.sha256 == sha256).values(**values))


def waiting_bytes(connection: sa.Connection) -> int:
    """Sum the sizes of all parcels that are here or on their way here."""
    query = sa.select(sa.func.coalesce(sa.func.sum(parcel.c.size_bytes), 0)).where(parcel.c.gone_at.is_(None))
    return int(connection.execute(query).scalar_one())


def load_older(connection: sa.Connection, before: datetime) -> list[str]:
    """Load the parcels that nobody has fetched since."""
    query = sa.select(parcel.c.sha256).where(parcel.c.gone_at.is_(None), parcel.c.opened_at < before)
    return list(connection.execute(query).scalars())


def pass_on(connection: sa.Connection, **values: Any) -> bool:
    """Write that a letter was passed on; False when it was before."""
    known = sa.select(letter.c.letter_id).where(letter.c.letter_id == values["letter_id"])
    if connection.execute(known).first() is not None:
        return False
    connection.execute(letter.insert().values(**values))
    return True


def traffic(connection: sa.Connection, study_id: str) -> list[sa.Row[Any]]:
    """Count parcels and bytes of a study by sender and recipient."""
    query = (
        sa.select(
            parcel.c.sender,
            parcel.c.recipient,
            sa.func.count().label("parcels"),
            sa.func.sum(parcel.c.size_bytes).label("bytes"),
            sa.func.count(parcel.c.gone_at).label("fetched"),
        )
        .where(parcel.c.study_id == study_id)
        .group_by(parcel.c.sender, parcel.c.recipient)
        .order_by(parcel.c.sender, parcel.c.recipient)
    )
    return list(connection.execute(query))
