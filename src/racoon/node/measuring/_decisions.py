"""Tables of checks with what a person said about them, and of sign-offs and promotions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.node.measuring.checks import Check, State
from racoon.node.measuring.model import Decision, MaskSource
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
    statement = sa.delete(measuring_check).where(measuring_check.c.pseudonym == pseudonym)
    return int(connection.execute(statement).rowcount)


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
