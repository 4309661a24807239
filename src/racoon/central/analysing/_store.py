"""Table of analyses: the plan as it was run, and the result once there is one."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

analysis = sa.Table(
    "analysis",
    metadata("central"),
    sa.Column("run_id", sa.String(80), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("plan", Json, nullable=False),
    sa.Column("plan_hash", sa.String(64), nullable=False),
    sa.Column("datasets", Json, nullable=False),
    sa.Column("mode", sa.String(20), nullable=False, server_default="federated"),
    sa.Column("subjects", Json),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("reason", sa.String(500)),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("result", Json),
)


def insert(connection: sa.Connection, **values: Any) -> None:
    """Write a new analysis."""
    connection.execute(analysis.insert().values(**values))


def update(connection: sa.Connection, run_id: str, **values: Any) -> None:
    """Change an analysis."""
    connection.execute(analysis.update().where(analysis.c.run_id == run_id).values(**values))


def load(connection: sa.Connection, run_id: str, *, to_change: bool = False) -> dict[str, Any] | None:
    """Load one analysis; ``to_change`` locks it on PostgreSQL."""
    statement = sa.select(analysis).where(analysis.c.run_id == run_id)
    row = connection.execute(statement.with_for_update() if to_change else statement).first()
    return dict(row._mapping) if row else None


def load_all(
    connection: sa.Connection, *, study_id: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Load analyses, newest first."""
    statement = sa.select(analysis).order_by(analysis.c.created_at.desc(), analysis.c.run_id.desc())
    if study_id is not None:
        statement = statement.where(analysis.c.study_id == study_id)
    if state is not None:
        statement = statement.where(analysis.c.state == state)
    return [dict(row._mapping) for row in connection.execute(statement)]
