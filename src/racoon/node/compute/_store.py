"""Tables of the models on this node's shelf, and of the limits of its trainings."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.node.compute.model import ShelvedModel
from racoon.platform.database import UtcDateTime, metadata

model_shelf = sa.Table(
    "model_shelf",
    metadata("node"),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("version", sa.String(20), nullable=False),
    sa.Column("signer", sa.String(64), nullable=False),
    sa.Column("source", sa.String(20), nullable=False),
    sa.Column("runtime", sa.String(20), nullable=False),
    sa.Column("added_at", UtcDateTime, nullable=False),
    sa.Column("withdrawn_at", UtcDateTime),
    sa.Column("reason", sa.String(500), nullable=False),
)

training_limits = sa.Table(
    "training_limits",
    metadata("node"),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("hours", sa.Float),
    sa.Column("trainings", sa.Integer),
    sa.Column("opens", sa.String(5), nullable=False),
    sa.Column("closes", sa.String(5), nullable=False),
    sa.Column("set_at", UtcDateTime, nullable=False),
    sa.Column("set_by", sa.String(200), nullable=False),
)


def newest_limits(connection: sa.Connection) -> sa.Row[Any] | None:
    """Return the limits that hold."""
    newest = sa.select(training_limits).order_by(training_limits.c.number.desc()).limit(1)
    return connection.execute(newest).first()


def insert_limits(connection: sa.Connection, limits: Any, at: datetime, actor: str) -> None:
    """Write new limits beside the older ones."""
    values = {name: getattr(limits, name) for name in ("hours", "trainings", "opens", "closes")}
    connection.execute(training_limits.insert().values(**values, set_at=at, set_by=actor))


def insert(connection: sa.Connection, model: ShelvedModel) -> None:
    """Write a new model."""
    values = {name: getattr(model, name) for name in ShelvedModel.__dataclass_fields__}
    connection.execute(model_shelf.insert().values(**values))


def withdraw(connection: sa.Connection, digest: str, at: datetime, reason: str) -> None:
    """Mark a model as taken back."""
    connection.execute(
        model_shelf.update().where(model_shelf.c.digest == digest).values(withdrawn_at=at, reason=reason)
    )


def load(connection: sa.Connection, digest: str) -> ShelvedModel | None:
    """Return a model."""
    row = connection.execute(sa.select(model_shelf).where(model_shelf.c.digest == digest)).one_or_none()
    return _model(row) if row is not None else None


def load_all(connection: sa.Connection) -> list[ShelvedModel]:
    """Return all models by name, the newest first."""
    rows = connection.execute(
        sa.select(model_shelf).order_by(model_shelf.c.name, model_shelf.c.added_at.desc())
    )
    return [_model(row) for row in rows]


def _model(row: sa.Row[Any]) -> ShelvedModel:
    return ShelvedModel(**{name: getattr(row, name) for name in ShelvedModel.__dataclass_fields__})
