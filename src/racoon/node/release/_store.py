"""Tables of the gate: every release, and the stored answers of feasibility counts."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

release_ledger = sa.Table(
    "release_ledger",
    metadata("node"),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("job_id", sa.String(80), nullable=False, unique=True),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("kind", sa.String(40), nullable=False),
    sa.Column("payload_hash", sa.String(64), nullable=False),
    sa.Column("payload", Json, nullable=False),
    sa.Column("suppressed", Json, nullable=False),
    sa.Column("artifacts", Json, nullable=False),
    sa.Column("policy_version", sa.String(40), nullable=False),
    sa.Column("released_at", UtcDateTime, nullable=False),
)

feasibility_answer = sa.Table(
    "feasibility_answer",
    metadata("node"),
    sa.Column("cohort_hash", sa.String(64), primary_key=True),
    sa.Column("epoch", sa.String(10), primary_key=True),
    sa.Column("answer", Json, nullable=False),
    sa.Column("answered_at", UtcDateTime, nullable=False),
)

analysed_population = sa.Table(
    "analysed_population",
    metadata("node"),
    sa.Column("population_hash", sa.String(64), primary_key=True),
    sa.Column("members", Json, nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("plan_hash", sa.String(64), nullable=False),
    sa.Column("subgroup", sa.String(200), nullable=False),
    sa.Column("released_at", UtcDateTime, nullable=False),
)


def write(connection: sa.Connection, **values: Any) -> int:
    """Append a release to the ledger; returns its number."""
    result = connection.execute(release_ledger.insert().values(released_at=clock.now(), **values))
    key = result.inserted_primary_key
    assert key is not None
    return int(key[0])


def load_newest(connection: sa.Connection, limit: int) -> list[dict[str, Any]]:
    """Load the newest releases."""
    statement = sa.select(release_ledger).order_by(release_ledger.c.number.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(statement)]


def load_answer(connection: sa.Connection, cohort_hash: str, epoch: str) -> dict[str, Any] | None:
    """Load the stored answer to a question."""
    statement = sa.select(feasibility_answer.c.answer).where(
        feasibility_answer.c.cohort_hash == cohort_hash, feasibility_answer.c.epoch == epoch
    )
    answer: dict[str, Any] | None = connection.execute(statement).scalar()
    return answer


def save_answer(connection: sa.Connection, cohort_hash: str, epoch: str, answer: dict[str, Any]) -> None:
    """Store the answer to a question."""
    connection.execute(
        feasibility_answer.insert().values(
            cohort_hash=cohort_hash, epoch=epoch, answer=answer, answered_at=clock.now()
        )
    )


def load_populations(connection: sa.Connection) -> dict[str, frozenset[str]]:
    """Load every choice of subjects about which sums have left, by its hash."""
    columns = analysed_population.c
    rows = connection.execute(sa.select(columns.population_hash, columns.members))
    return {row.population_hash: frozenset(row.members) for row in rows}


def save_population(
    connection: sa.Connection, population_hash: str, members: list[str], **facts: str
) -> None:
    """Remember a choice of subjects about which sums leave now."""
    connection.execute(
        analysed_population.insert().values(
            population_hash=population_hash, members=members, released_at=clock.now(), **facts
        )
    )
