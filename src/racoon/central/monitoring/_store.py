"""Tables of heartbeats and audit anchors."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

site_heartbeat = sa.Table(
    "site_heartbeat",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("numbers", Json, nullable=False),
)

heartbeat_history = sa.Table(
    "heartbeat_history",
    metadata("central"),
    sa.Column("sequence", sa.Integer, primary_key=True),
    sa.Column("site", sa.String(16), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
    sa.Column("numbers", Json, nullable=False),
    sa.Index("ix_heartbeat_history_site_time", "site", "received_at"),
)

audit_anchor = sa.Table(
    "audit_anchor",
    metadata("central"),
    sa.Column("site", sa.String(16), primary_key=True),
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("hash", sa.String(64), nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
)


def save(connection: sa.Connection, site: str, numbers: dict[str, Any], moment: datetime) -> None:
    """Write a site's newest heartbeat."""
    values = {"received_at": moment, "numbers": numbers}
    if (
        connection.execute(
            site_heartbeat.update().where(site_heartbeat.c.site == site).values(**values)
        ).rowcount
        == 0
    ):
        connection.execute(site_heartbeat.insert().values(site=site, **values))


def newest_in_history(connection: sa.Connection, site: str) -> datetime | None:
    """Return the time of the newest kept heartbeat."""
    statement = sa.select(sa.func.max(heartbeat_history.c.received_at)).where(
        heartbeat_history.c.site == site
    )
    found: datetime | None = connection.execute(statement).scalar()
    return found


def add_history(connection: sa.Connection, site: str, numbers: dict[str, Any], moment: datetime) -> None:
    """Keep a heartbeat for the curves."""
    connection.execute(heartbeat_history.insert().values(site=site, received_at=moment, numbers=numbers))


def load_newest(connection: sa.Connection) -> dict[str, tuple[datetime, dict[str, Any]]]:
    """Load the newest heartbeat of each site."""
    rows = connection.execute(sa.select(site_heartbeat))
    return {row.site: (row.received_at, row.numbers) for row in rows}


def load_history(connection: sa.Connection, site: str, limit: int) -> list[tuple[datetime, dict[str, Any]]]:
    """Load kept heartbeats, newest first."""
    statement = (
        sa.select(heartbeat_history)
        .where(heartbeat_history.c.site == site)
        .order_by(heartbeat_history.c.sequence.desc())
        .limit(limit)
    )
    return [(row.received_at, row.numbers) for row in connection.execute(statement)]


def prune(connection: sa.Connection, before: datetime) -> None:
    """Forget old heartbeats."""
    connection.execute(heartbeat_history.delete().where(heartbeat_history.c.received_at < before))


def save_anchor(
    connection: sa.Connection, site: str, number: int, digest: str, moment: datetime
) -> str | None:
    """Keep an anchor; returns the hash kept before for the same number, ``None`` for a new one."""
    known = connection.execute(
        sa.select(audit_anchor.c.hash).where(audit_anchor.c.site == site, audit_anchor.c.number == number)
    ).scalar()
    if known is None:
        connection.execute(
            audit_anchor.insert().values(site=site, number=number, hash=digest, received_at=moment)
        )
    return known


def newest_anchor(connection: sa.Connection, site: str) -> int:
    """Return the number of a site's newest anchor."""
    statement = sa.select(sa.func.max(audit_anchor.c.number)).where(audit_anchor.c.site == site)
    return int(connection.execute(statement).scalar() or 0)
