"""Tables of reference sets, attempts, their cases and waivers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.node.reading.practice.model import (
    Attempt,
    PassMark,
    ReferenceCase,
    ReferenceSet,
    TriedCase,
    Waiver,
)
from racoon.platform.database import Json, UtcDateTime, metadata

sets = sa.Table(
    "reading_reference_set",
    metadata("node"),
    sa.Column("name", sa.String(60), primary_key=True),
    sa.Column("kind", sa.String(12), nullable=False),
    sa.Column("template_url", sa.String(200), nullable=False),
    sa.Column("reference", sa.String(80), nullable=False),
    sa.Column("cases", Json, nullable=False),
    sa.Column("marks", Json, nullable=False),
    sa.Column("made_by", sa.String(80), nullable=False),
    sa.Column("made_at", UtcDateTime, nullable=False),
)

attempts = sa.Table(
    "reading_attempt",
    metadata("node"),
    sa.Column("attempt_id", sa.String(36), primary_key=True),
    sa.Column("set_name", sa.String(60), nullable=False),
    sa.Column("reader", sa.String(80), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("begun_at", UtcDateTime, nullable=False),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("score", Json),
    sa.Column("is_passed", sa.Boolean),
    sa.UniqueConstraint("set_name", "reader", "number", name="uq_reading_attempt_set_name"),
)

cases = sa.Table(
    "reading_attempt_case",
    metadata("node"),
    sa.Column("attempt_id", sa.String(36), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), primary_key=True),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("submitted_at", UtcDateTime),
    sa.Column("response", Json),
    sa.Column("score", Json),
    sa.Column("is_hidden", sa.Boolean, nullable=False),
)

waivers = sa.Table(
    "reading_waiver",
    metadata("node"),
    sa.Column("set_name", sa.String(60), primary_key=True),
    sa.Column("reader", sa.String(80), primary_key=True),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("given_by", sa.String(80), nullable=False),
    sa.Column("given_at", UtcDateTime, nullable=False),
)


def insert_set(connection: sa.Connection, found: ReferenceSet) -> None:
    """Add a set."""
    values = {
        name: getattr(found, name)
        for name in ("name", "kind", "template_url", "reference", "made_by", "made_at")
    }
    connection.execute(
        sa.insert(sets).values(
            **values,
            cases=[asdict(case) | {"masks": dict(case.masks)} for case in found.cases],
            marks=[asdict(mark) for mark in found.marks],
        )
    )


def load_sets(connection: sa.Connection, name: str = "") -> list[ReferenceSet]:
    """Load all sets or one, by name."""
    query = sa.select(sets).order_by(sets.c.name)
    if name:
        query = query.where(sets.c.name == name)
    return [
        ReferenceSet(
            row.name,
            row.kind,
            row.template_url,
            row.reference,
            tuple(ReferenceCase(**case) for case in row.cases),
            tuple(PassMark(**mark) for mark in row.marks),
            row.made_by,
            row.made_at,
        )
        for row in connection.execute(query)
    ]


def insert_attempt(connection: sa.Connection, attempt: Attempt) -> None:
    """Add an attempt with its cases, all of them open and hidden."""
    names = ("attempt_id", "set_name", "reader", "number", "begun_at")
    connection.execute(sa.insert(attempts).values(**{name: getattr(attempt, name) for name in names}))
    parts = ("attempt_id", "imaging_study_uid", "series_uid", "pseudonym", "position", "is_hidden")
    connection.execute(
        sa.insert(cases), [{name: getattr(case, name) for name in parts} for case in attempt.cases]
    )


def load_attempts(
    connection: sa.Connection, *, set_name: str = "", reader: str = "", attempt_id: str = ""
) -> list[Attempt]:
    """Load attempts, the oldest first, each with its cases in the reader's order."""
    query = sa.select(attempts).order_by(attempts.c.begun_at, attempts.c.reader, attempts.c.number)
    for column, value in ((attempts.c.set_name, set_name), (attempts.c.reader, reader)):
        if value:
            query = query.where(column == value)
    if attempt_id:
        query = query.where(attempts.c.attempt_id == attempt_id)
    rows = list(connection.execute(query))
    wanted = sa.select(cases).where(cases.c.attempt_id.in_([row.attempt_id for row in rows]))
    tried: dict[str, list[TriedCase]] = {row.attempt_id: [] for row in rows}
    for row in connection.execute(wanted.order_by(cases.c.position)):
        tried[row.attempt_id].append(TriedCase(**row._mapping))
    return [Attempt(**row._mapping, cases=tuple(tried[row.attempt_id])) for row in rows]


def submit(connection: sa.Connection, case: TriedCase) -> None:
    """Keep what was submitted of a case."""
    connection.execute(
        sa.update(cases)
        .where(cases.c.attempt_id == case.attempt_id, cases.c.imaging_study_uid == case.imaging_study_uid)
        .values(
            submitted_at=case.submitted_at, response=case.response, score=case.score, is_hidden=case.is_hidden
        )
    )


def end(connection: sa.Connection, attempt_id: str, at: datetime, score: Any, *, is_passed: bool) -> None:
    """Close an attempt."""
    connection.execute(
        sa.update(attempts)
        .where(attempts.c.attempt_id == attempt_id)
        .values(ended_at=at, score=score, is_passed=is_passed)
    )


def reveal(connection: sa.Connection, attempt_ids: Sequence[str]) -> None:
    """Hide nothing of these attempts any more."""
    connection.execute(sa.update(cases).where(cases.c.attempt_id.in_(attempt_ids)).values(is_hidden=False))


def hidden_studies(reader: str | sa.BindParameter[str]) -> sa.Select[Any]:
    """Select the imaging studies whose reference is kept from a reader."""
    return (
        sa.select(cases.c.imaging_study_uid)
        .join(attempts, attempts.c.attempt_id == cases.c.attempt_id)
        .where(attempts.c.reader == reader, cases.c.is_hidden)
    )


def open_attempt(connection: sa.Connection, reader: str, imaging_study_uid: str) -> str:
    """Return the attempt to which what a reader writes on an imaging study belongs, or nothing."""
    query = (
        sa.select(cases.c.attempt_id)
        .join(attempts, attempts.c.attempt_id == cases.c.attempt_id)
        .where(
            attempts.c.reader == reader,
            cases.c.imaging_study_uid == imaging_study_uid,
            cases.c.submitted_at.is_(None),
        )
        .order_by(attempts.c.begun_at)
    )
    return connection.execute(query).scalars().first() or ""


def insert_waiver(connection: sa.Connection, waiver: Waiver) -> None:
    """Let a reader off, once."""
    if not load_waivers(connection, waiver.set_name, waiver.reader):
        connection.execute(sa.insert(waivers).values(**asdict(waiver)))


def load_waivers(connection: sa.Connection, set_name: str, reader: str = "") -> list[Waiver]:
    """Load who was let off."""
    query = sa.select(waivers).where(waivers.c.set_name == set_name).order_by(waivers.c.given_at)
    if reader:
        query = query.where(waivers.c.reader == reader)
    return [Waiver(**row._mapping) for row in connection.execute(query)]


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove what was tried on a subject, and take its cases out of the sets; returns how many rows."""
    gone = int(connection.execute(sa.delete(cases).where(cases.c.pseudonym == pseudonym)).rowcount)
    for row in connection.execute(sa.select(sets.c.name, sets.c.cases)).all():
        kept = [case for case in row.cases if case["pseudonym"] != pseudonym]
        if len(kept) < len(row.cases):
            connection.execute(sa.update(sets).where(sets.c.name == row.name).values(cases=kept))
            gone += 1
    return gone
