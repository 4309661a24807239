"""Tables of checks, of questions about them, of sign-offs and promotions, and of the network's figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.node.measuring.checks import Check, NetworkReference, State
from racoon.node.measuring.model import Decision, MaskSource, Query
from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

measuring_check = sa.Table(
    "measuring_check",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("dataset_hash", sa.String(64), nullable=False),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("code", sa.String(80), nullable=False),
    sa.Column("about", sa.String(300), nullable=False),
    sa.Column("details", Json, nullable=False),
    sa.Column("key_instance_uid", sa.String(64), nullable=False),
    sa.Column("mask", Json),
    sa.Column("found_at", UtcDateTime, nullable=False),
    sa.Column("state", sa.String(20), nullable=False),
    sa.Column("decided_by", sa.String(200), nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("note", sa.String(500), nullable=False),
    sa.UniqueConstraint(
        "study_id", "dataset_hash", "series_uid", "code", "about", name="uq_measuring_check_identity"
    ),
)

measuring_decision = sa.Table(
    "measuring_decision",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("dataset_hash", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("about", sa.String(300), nullable=False),
    sa.Column("document", Json, nullable=False),
    sa.Column("decided_by", sa.String(200), nullable=False),
    sa.Column("decided_at", UtcDateTime, nullable=False),
)


measuring_query = sa.Table(
    "measuring_query",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("dataset_hash", sa.String(64), nullable=False),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("check_id", sa.Integer, nullable=False),
    sa.Column("asked_of", sa.String(200), nullable=False),
    sa.Column("question", sa.String(500), nullable=False),
    sa.Column("asked_by", sa.String(200), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False),
    sa.Column("answer", sa.String(500), nullable=False),
    sa.Column("answered_by", sa.String(200), nullable=False),
    sa.Column("answered_at", UtcDateTime),
)

network_reference = sa.Table(
    "network_reference",
    metadata("node"),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("measurement", sa.String(300), primary_key=True),
    sa.Column("sites", sa.Integer, nullable=False),
    sa.Column("subjects", sa.Integer, nullable=False),
    sa.Column("mean", sa.Double, nullable=False),
    sa.Column("sd", sa.Double, nullable=False),
    sa.Column("received_at", UtcDateTime, nullable=False),
)


def save_network(
    connection: sa.Connection, study_id: str, references: Mapping[str, NetworkReference]
) -> None:
    """Replace the figures of these measurements."""
    columns = network_reference.c
    for key, item in sorted(references.items()):
        connection.execute(
            network_reference.delete().where(columns.study_id == study_id, columns.measurement == key)
        )
        connection.execute(
            network_reference.insert().values(
                study_id=study_id,
                measurement=key,
                sites=item.sites,
                subjects=item.subjects,
                mean=item.mean,
                sd=item.sd,
                received_at=clock.now(),
            )
        )


def load_network(connection: sa.Connection, study_id: str) -> dict[str, NetworkReference]:
    """Load the figures of the network by measurement."""
    statement = sa.select(network_reference).where(network_reference.c.study_id == study_id)
    return {
        row.measurement: NetworkReference(row.sites, row.subjects, row.mean, row.sd)
        for row in connection.execute(statement)
    }


def save_query(connection: sa.Connection, query: Query) -> int:
    """Append a question; returns its number."""
    values = {
        "study_id": query.study_id,
        "dataset_hash": query.dataset_hash,
        "series_uid": query.series_uid,
        "pseudonym": query.pseudonym,
        "check_id": query.check_number,
        "asked_of": query.asked_of[:200],
        "question": query.question[:500],
        "asked_by": query.asked_by,
        "asked_at": query.asked_at,
        "answer": "",
        "answered_by": "",
    }
    result = connection.execute(measuring_query.insert().values(**values))
    return int(result.inserted_primary_key[0]) if result.inserted_primary_key else 0


def answer_query(connection: sa.Connection, number: int, actor: str, answer: str) -> None:
    """Write the answer to a question."""
    connection.execute(
        measuring_query.update()
        .where(measuring_query.c.id == number)
        .values(answer=answer[:500], answered_by=actor, answered_at=clock.now())
    )


def load_queries(connection: sa.Connection, study_id: str = "", number: int | None = None) -> list[Query]:
    """Load questions, open ones first."""
    columns = measuring_query.c
    is_answered = sa.case((columns.answered_by == "", 0), else_=1)
    statement = sa.select(measuring_query).order_by(is_answered, columns.id)
    if study_id:
        statement = statement.where(columns.study_id == study_id)
    if number is not None:
        statement = statement.where(columns.id == number)
    return [
        Query(
            study_id=row.study_id,
            dataset_hash=row.dataset_hash,
            series_uid=row.series_uid,
            pseudonym=Pseudonym(row.pseudonym),
            check_number=row.check_id,
            asked_of=row.asked_of,
            question=row.question,
            asked_by=row.asked_by,
            asked_at=row.asked_at,
            number=row.id,
            answer=row.answer,
            answered_by=row.answered_by,
            answered_at=row.answered_at,
        )
        for row in connection.execute(statement)
    ]


def save_checks(connection: sa.Connection, study_id: str, dataset_hash: str, checks: Sequence[Check]) -> None:
    """Store checks; one that is known keeps what a person said about it."""
    if not checks:
        return
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    rows = [
        {
            "study_id": study_id,
            "dataset_hash": dataset_hash,
            "series_uid": check.series_uid,
            "pseudonym": check.pseudonym,
            "code": check.code,
            "about": check.about[:300],
            "details": dict(check.details),
            "key_instance_uid": check.key_instance_uid,
            "mask": check.mask.to_dict() if check.mask else None,
            "found_at": clock.now(),
            "state": "open",
            "decided_by": "",
            "note": "",
        }
        for check in checks
    ]
    connection.execute(insert(measuring_check).on_conflict_do_nothing(), rows)


def load_checks(
    connection: sa.Connection,
    *,
    study_id: str = "",
    dataset_hash: str = "",
    state: State | None = None,
    number: int | None = None,
) -> list[tuple[str, str, Check]]:
    """Load checks with their study and dataset, open ones first; empty arguments match all."""
    columns = measuring_check.c
    is_decided = sa.case((columns.state == "open", 0), else_=1)
    statement = sa.select(measuring_check).order_by(is_decided, columns.code, columns.id)
    for column, wanted in (
        (columns.study_id, study_id),
        (columns.dataset_hash, dataset_hash),
        (columns.state, state),
        (columns.id, number),
    ):
        if wanted:
            statement = statement.where(column == wanted)
    return [(row.study_id, row.dataset_hash, _check_of(row)) for row in connection.execute(statement)]


def decide_check(connection: sa.Connection, number: int, state: State, actor: str, note: str) -> None:
    """Write what a person said about a check."""
    connection.execute(
        measuring_check.update()
        .where(measuring_check.c.id == number)
        .values(state=state, decided_by=actor, decided_at=clock.now(), note=note[:500])
    )


def save_decision(connection: sa.Connection, decision: Decision) -> None:
    """Append a sign-off or a promotion; none is ever changed."""
    connection.execute(
        measuring_decision.insert().values(
            study_id=decision.study_id,
            dataset_hash=decision.dataset_hash,
            kind=decision.kind,
            about=decision.about,
            document=dict(decision.document),
            decided_by=decision.decided_by,
            decided_at=decision.decided_at,
        )
    )


def load_decisions(connection: sa.Connection, study_id: str, dataset_hash: str = "") -> list[Decision]:
    """Load sign-offs and promotions, newest first."""
    columns = measuring_decision.c
    statement = sa.select(measuring_decision).where(columns.study_id == study_id).order_by(columns.id.desc())
    if dataset_hash:
        statement = statement.where(columns.dataset_hash == dataset_hash)
    return [
        Decision(
            row.study_id,
            row.dataset_hash,
            row.kind,
            row.about,
            row.document,
            row.decided_by,
            row.decided_at,
        )
        for row in connection.execute(statement)
    ]


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove every check of a subject; returns how many rows."""
    removed = 0
    for table in (measuring_check, measuring_query):
        removed += int(connection.execute(sa.delete(table).where(table.c.pseudonym == pseudonym)).rowcount)
    return removed


def _check_of(row: sa.Row[Any]) -> Check:
    return Check(
        code=row.code,
        about=row.about,
        details=row.details,
        series_uid=row.series_uid,
        pseudonym=Pseudonym(row.pseudonym),
        key_instance_uid=row.key_instance_uid,
        mask=MaskSource(**row.mask) if row.mask else None,
        number=row.id,
        state=row.state,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        note=row.note,
    )
