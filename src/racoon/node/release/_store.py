"""Tables of the gate: every release, and the stored answers of feasibility counts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.node.release.budget import REMEMBERED, Spent
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


squared_score = sa.Table(
    "squared_score",
    metadata("node"),
    sa.Column("scores_hash", sa.String(64), primary_key=True),
    sa.Column("plan_hash", sa.String(64), primary_key=True),
    sa.Column("place", sa.Integer, primary_key=True),
    sa.Column("subgroup", sa.String(200), primary_key=True),
    sa.Column("scores", Json, nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("released_at", UtcDateTime, nullable=False),
)
"""Scores, by subject, of which sums of squares have left: what a second such sum is compared with."""

count_ledger = sa.Table(
    "count_ledger",
    metadata("node"),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("requester", sa.String(80), nullable=False),
    sa.Column("project", sa.String(80), nullable=False, index=True),
    sa.Column("cohort_hash", sa.String(64), nullable=False),
    sa.Column("epsilon", sa.String(20), nullable=False),
    sa.Column("answered_at", UtcDateTime, nullable=False, index=True),
    sa.Column("near", sa.Boolean, nullable=False),
    sa.Column("members", sa.LargeBinary),
)
"""What each answered count cost, and, for a month, a fingerprint of whom it counted."""

count_hold = sa.Table(
    "count_hold",
    metadata("node"),
    sa.Column("project", sa.String(80), primary_key=True),
    sa.Column("held_at", UtcDateTime, nullable=False),
)


def spend(connection: sa.Connection, **values: Any) -> None:
    """Write an answered count; fingerprints older than a month go."""
    connection.execute(count_ledger.insert().values(**values))
    connection.execute(
        sa.update(count_ledger)
        .where(
            count_ledger.c.answered_at < values["answered_at"] - REMEMBERED,
            count_ledger.c.members.is_not(None),
        )
        .values(members=None)
    )


def load_spent(connection: sa.Connection, since: datetime, requester: str, project: str) -> list[Spent]:
    """Load what was answered to a requester or for a project since a moment."""
    columns = count_ledger.c
    query = sa.select(
        columns.requester, columns.project, columns.epsilon, columns.answered_at, columns.near
    ).where(columns.answered_at > since, sa.or_(columns.requester == requester, columns.project == project))
    return [Spent(*row) for row in connection.execute(query)]


def load_result_sets(connection: sa.Connection, project: str, since: datetime) -> list[bytes]:
    """Load the fingerprints of a project's counts."""
    columns = count_ledger.c
    query = sa.select(columns.members).where(
        columns.project == project, columns.answered_at > since, columns.members.is_not(None)
    )
    return [bytes(found) for found in connection.execute(query).scalars()]


def is_held(connection: sa.Connection, project: str) -> bool:
    """Tell whether the counts of a project wait for a person."""
    query = sa.select(count_hold.c.project).where(count_hold.c.project == project)
    return connection.execute(query).first() is not None


def hold(connection: sa.Connection, project: str, moment: datetime) -> None:
    """Hold the counts of a project."""
    if not is_held(connection, project):
        connection.execute(count_hold.insert().values(project=project, held_at=moment))


def load_holds(connection: sa.Connection) -> list[sa.Row[Any]]:
    """Load all holds, oldest first."""
    return list(connection.execute(sa.select(count_hold).order_by(count_hold.c.held_at)))


def lift(connection: sa.Connection, project: str) -> bool:
    """End a hold and forgive what led to it; tell whether there was one."""
    done = connection.execute(sa.delete(count_hold).where(count_hold.c.project == project)).rowcount == 1
    connection.execute(sa.update(count_ledger).where(count_ledger.c.project == project).values(near=False))
    return done


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


def load_scores(connection: sa.Connection) -> list[sa.Row[Any]]:
    """Load all scores of which squares have left."""
    return list(connection.execute(sa.select(squared_score)))


def save_scores(
    connection: sa.Connection, scores_hash: str, scores: Mapping[str, tuple[float, ...]], **facts: Any
) -> None:
    """Remember scores of which squares leave now."""
    connection.execute(
        squared_score.insert().values(
            scores_hash=scores_hash,
            scores={name: list(own) for name, own in scores.items()},
            released_at=clock.now(),
            **facts,
        )
    )
