"""What was exchanged with which network when: counts, refused rows by line, and the mapping; nothing of a row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import sqlalchemy as sa

from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

Direction = Literal["take", "give", "transfer"]

exchange = sa.Table(
    "clinical_exchange",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("project", sa.String(80), nullable=False, index=True),
    sa.Column("direction", sa.String(10), nullable=False),
    sa.Column("done_at", UtcDateTime, nullable=False),
    sa.Column("done_by", sa.String(80), nullable=False),
    sa.Column("mapping", Json, nullable=False),
    sa.Column("counts", Json, nullable=False),
    sa.Column("refused", Json, nullable=False),
)


def record(
    connection: sa.Connection,
    project: str,
    direction: Direction,
    by: str,
    mapping: Mapping[str, Any],
    counts: Mapping[str, Any],
    refused: Sequence[Mapping[str, Any]] = (),
) -> None:
    """Keep one exchange."""
    connection.execute(
        sa.insert(exchange).values(
            project=project,
            direction=direction,
            done_at=clock.now(),
            done_by=by[:80],
            mapping=dict(mapping),
            counts=dict(counts),
            refused=[dict(row) for row in refused],
        )
    )


def newest(connection: sa.Connection) -> list[dict[str, Any]]:
    """Return of each project the newest exchange in each direction, by project."""
    last = sa.select(sa.func.max(exchange.c.id)).group_by(exchange.c.project, exchange.c.direction)
    query = (
        sa.select(exchange).where(exchange.c.id.in_(last)).order_by(exchange.c.project, exchange.c.id.desc())
    )
    return [dict(row._mapping) for row in connection.execute(query)]


def mapping_of(connection: sa.Connection, project: str) -> dict[str, Any] | None:
    """Return the mapping that a project's last exchange used."""
    query = (
        sa.select(exchange.c.mapping)
        .where(exchange.c.project == project)
        .order_by(exchange.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else dict(row.mapping)
