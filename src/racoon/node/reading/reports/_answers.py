"""Tables of signed answers as narrow rows: words are written once, an answer is a few numbers.

An answer lies beside the others to the same question, so that millions are counted by reading one stretch of the table.
Only the newest signed version of a report is here; the versions themselves keep everything.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from racoon.domain.questionnaire import Template
from racoon.node.reading.reports import _versions
from racoon.node.reading.reports.model import ReportVersion
from racoon.node.reading.reports.table import rows_of
from racoon.platform.database import UtcDateTime, metadata

_METADATA = metadata("node")

question = sa.Table(
    "reading_question",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("template", sa.String(250), nullable=False),
    sa.Column("link_id", sa.String(200), nullable=False),
    sa.Column("system", sa.String(200), nullable=False),
    sa.Column("code", sa.String(80), nullable=False),
    sa.Column("text", sa.String(500), nullable=False),
    sa.Column("unit", sa.String(40), nullable=False),
    sa.UniqueConstraint("template", "link_id", name="uq_reading_question_template"),
)

value = sa.Table(
    "reading_answer_value",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("system", sa.String(200), nullable=False),
    sa.Column("code", sa.String(80), nullable=False),
    sa.Column("text", sa.String(500), nullable=False),
    sa.UniqueConstraint("system", "code", "text", name="uq_reading_answer_value_code"),
)
"""Coded answers; yes and no are ``true`` and ``false`` of no system."""

answered = sa.Table(
    "reading_answered_report",
    _METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("report_id", sa.String(36), nullable=False, unique=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("reader", sa.String(80), nullable=False),
    sa.Column("signed_at", UtcDateTime, nullable=False),
)

answer = sa.Table(
    "reading_answer",
    _METADATA,
    sa.Column("question_id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("report", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("value_id", sa.Integer),
    sa.Column("number", sa.Double),
    sa.Column("text", sa.Text),
    sa.Index("ix_reading_answer_report", "report"),
    sa.Index("ix_reading_answer_question_id_value_id", "question_id", "value_id"),
    sqlite_with_rowid=False,
)

RECORDED = "addendum"
"""The kind of version that changes no answer."""


def record(connection: sa.Connection, version: ReportVersion, forms: Mapping[str, Template]) -> None:
    """Replace the answers of a report by those of a signed version; an addendum changes none."""
    if version.kind == RECORDED or version.response["questionnaire"] not in forms:
        return
    _forget_reports(connection, sa.select(answered.c.id).where(answered.c.report_id == version.report_id))
    made = connection.execute(
        sa.insert(answered)
        .values(
            report_id=version.report_id,
            version=version.version,
            pseudonym=version.pseudonym,
            imaging_study_uid=version.imaging_study_uid,
            reader=version.author,
            signed_at=version.signed_at,
        )
        .returning(answered.c.id)
    )
    report = int(made.scalar_one())
    places: dict[int, int] = {}
    rows = []
    for row in rows_of(version, forms, list_name="", duty=""):
        asked = _question_of(connection, row)
        places[asked] = places.get(asked, -1) + 1
        rows.append(
            {
                "question_id": asked,
                "report": report,
                "place": places[asked],
                "value_id": _value_of(connection, row),
                "number": row["number"],
                "text": row["text"],
            }
        )
    if rows:
        connection.execute(sa.insert(answer), rows)


def _question_of(connection: sa.Connection, row: Mapping[str, Any]) -> int:
    key = {"template": row["template"], "link_id": row["link_id"]}
    rest = {
        "system": row["question_system"] or "",
        "code": row["question_code"] or "",
        "text": (row["question"] or "")[:500],
        "unit": row["unit"] or "",
    }
    return _id_of(connection, question, key, rest)


def _value_of(connection: sa.Connection, row: Mapping[str, Any]) -> int | None:
    if row["truth"] is not None:
        code = "true" if row["truth"] else "false"
        return _id_of(connection, value, {"system": "", "code": code, "text": code}, {})
    if row["answer_code"] is None and row["answer"] is None:
        return None
    text = (row["answer"] or "")[:500]
    key = {"system": row["answer_system"] or "", "code": row["answer_code"] or "", "text": text}
    return _id_of(connection, value, key, {})


def _id_of(
    connection: sa.Connection, table: sa.Table, key: Mapping[str, Any], rest: Mapping[str, Any]
) -> int:
    found = connection.execute(
        sa.select(table.c.id).where(*(table.c[name] == given for name, given in key.items()))
    ).scalar()
    if found is None:
        made = connection.execute(sa.insert(table).values(**key, **rest).returning(table.c.id))
        found = made.scalar_one()
    return int(found)


def missing(connection: sa.Connection, limit: int) -> list[ReportVersion]:
    """Load signed versions whose answers are not here yet: those of before this table, or of templates unknown then."""
    versions = _versions.versions
    newest = (
        sa.select(versions.c.report_id, sa.func.max(versions.c.version).label("version"))
        .where(versions.c.kind != RECORDED)
        .group_by(versions.c.report_id)
        .subquery()
    )
    query = (
        sa.select(versions)
        .join(
            newest,
            sa.and_(versions.c.report_id == newest.c.report_id, versions.c.version == newest.c.version),
        )
        .outerjoin(answered, answered.c.report_id == versions.c.report_id)
        .where(sa.or_(answered.c.id.is_(None), answered.c.version < newest.c.version))
        .limit(limit)
    )
    return [ReportVersion(**row) for row in connection.execute(query).mappings()]


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's answers; returns how many rows."""
    return _forget_reports(connection, sa.select(answered.c.id).where(answered.c.pseudonym == pseudonym))


def _forget_reports(connection: sa.Connection, reports: sa.Select[Any]) -> int:
    ids: Iterable[int] = connection.execute(reports).scalars().all()
    gone = 0
    for number in ids:
        gone += connection.execute(sa.delete(answer).where(answer.c.report == number)).rowcount
        connection.execute(sa.delete(answered).where(answered.c.id == number))
    return int(gone)
