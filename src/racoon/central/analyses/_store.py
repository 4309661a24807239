"""Table of training comparisons."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.platform.database import Json, UtcDateTime, metadata

training = sa.Table(
    "training",
    metadata("central"),
    sa.Column("run_id", sa.String(80), primary_key=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("study_hash", sa.String(64), nullable=False),
    sa.Column("plan", Json, nullable=False),
    sa.Column("setup", Json, nullable=False),
    sa.Column("state", sa.String(20), nullable=False, index=True),
    sa.Column("created_by", sa.String(200), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("engine_state", sa.String(20), nullable=False),
    sa.Column("engine_sites", Json),
    sa.Column("engine_reason", sa.String(500)),
    sa.Column("federated_model", sa.String(64)),
    sa.Column("rounds", Json),
)


def insert(connection: sa.Connection, **values: Any) -> None:
    """Write a new comparison."""
    connection.execute(training.insert().values(**values))


def update(connection: sa.Connection, run_id: str, **values: Any) -> None:
    """Change a comparison."""
    connection.execute(training.update().where(training.c.run_id == run_id).values(**values))


def start_engine(connection: sa.Connection, run_id: str, sites: list[str]) -> bool:
    """Move the engine's part from idle to running, once."""
    statement = (
        training.update()
        .where(training.c.run_id == run_id, training.c.engine_state == "idle")
        .values(engine_state="running", engine_sites=sites)
    )
    return connection.execute(statement).rowcount == 1


def load(connection: sa.Connection, run_id: str) -> dict[str, Any] | None:
    """Load one comparison."""
    row = connection.execute(sa.select(training).where(training.c.run_id == run_id)).first()
    return dict(row._mapping) if row else None


def load_all(
    connection: sa.Connection, *, study_id: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Load comparisons, newest first."""
    statement = sa.select(training).order_by(training.c.created_at.desc())
    if study_id is not None:
        statement = statement.where(training.c.study_id == study_id)
    if state is not None:
        statement = statement.where(training.c.state == state)
    return [dict(row._mapping) for row in connection.execute(statement)]
