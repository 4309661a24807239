"""The reports behind a number of the answers: which they are, and the finding that each answer was taken from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.reading.reports import _answers, _versions
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.model import ReportVersion
from racoon.node.reading.reports.table import rows_of

AT_ONCE = 100
"""Reports of one page."""


@dataclass(frozen=True)
class Behind:
    """What a number counts.

    Parameters
    ----------
    question_id
        The question, as this node numbers it.
    answers
        System and code of the coded answers that count, or ``("", text)`` of those without one; empty for any.
    also_id, also
        A second question that the same report answers, and how; 0 for none.
    low, high
        Only numbers in this range, in the unit of the question.
    """

    question_id: int
    answers: tuple[tuple[str, str], ...] = ()
    also_id: int = 0
    also: tuple[tuple[str, str], ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class AnsweredCase:
    """An answer of a signed report.

    Parameters
    ----------
    system, code, text, number
        What was answered: a coded answer with its words, a number, or words alone.
    finding_id
        The finding it was taken from, empty where it was not taken from the image.
    """

    pseudonym: Pseudonym
    imaging_study_uid: str
    report_id: str
    version: int
    reader: str
    signed_at: datetime
    place: int
    system: str
    code: str
    text: str
    number: float | None
    finding_id: str = ""


def is_given(
    table: Any, question_id: int, answers: Sequence[tuple[str, str]]
) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on answers to one question, any or these."""
    found = [table.c.question_id == question_id]
    if answers:
        value = _answers.value.c
        same = [
            sa.and_(
                value.system == system,
                sa.or_(value.code == code, sa.and_(value.code == "", value.text == code)),
            )
            for system, code in answers
        ]
        found.append(table.c.value_id.in_(sa.select(value.id).where(sa.or_(*same))))
    return found


def in_range(low: float | None, high: float | None) -> list[sa.ColumnElement[bool]]:
    """Return the conditions on numbers."""
    number = _answers.answer.c.number
    found = [number >= low] if low is not None else []
    return found + ([number <= high] if high is not None else [])


def cases_behind(
    connection: sa.Connection,
    readable: Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]],
    wanted: Behind,
    offset: int = 0,
) -> list[AnsweredCase]:
    """List the answers that a number counts, by subject; at most one page of them.

    Parameters
    ----------
    readable
        Condition of ``consent``: who may not be read is left out.
    offset
        How many to leave out before.
    """
    given, report, value = _answers.answer, _answers.answered.c, _answers.value.c
    tables = given.join(_answers.answered, report.id == given.c.report)
    tables = tables.outerjoin(_answers.value, value.id == given.c.value_id)
    query = sa.select(
        report.pseudonym, report.imaging_study_uid, report.report_id, report.version, report.reader,
        report.signed_at, given.c.place, sa.func.coalesce(value.system, ""), sa.func.coalesce(value.code, ""),
        sa.func.coalesce(value.text, given.c.text, ""), given.c.number,
    ).select_from(tables)  # fmt: skip
    query = query.where(readable(report.pseudonym), *is_given(given, wanted.question_id, wanted.answers))
    query = query.where(*in_range(wanted.low, wanted.high))
    if wanted.also_id:
        other = _answers.answer.alias("other")
        also = sa.select(other.c.report).where(*is_given(other, wanted.also_id, wanted.also))
        query = query.where(given.c.report.in_(also))
    query = query.order_by(report.pseudonym, report.report_id, given.c.place).limit(AT_ONCE).offset(offset)
    rows = connection.execute(query).all()
    found = [AnsweredCase(Pseudonym(row[0]), *row[1:]) for row in rows]
    return _with_findings(connection, wanted.question_id, found)


def _with_findings(
    connection: sa.Connection, question_id: int, cases: Sequence[AnsweredCase]
) -> list[AnsweredCase]:
    """Say which finding each answer was taken from; the signed version knows."""
    asked = _answers.question.c
    link_id = connection.execute(sa.select(asked.link_id).where(asked.id == question_id)).scalar()
    versions, forms = _versions.versions, templates(connection)
    wanted = {(case.report_id, case.version) for case in cases}
    query = sa.select(versions).where(versions.c.report_id.in_(sorted({report for report, _ in wanted})))
    sources: dict[tuple[str, int], list[str]] = {}
    for row in connection.execute(query).mappings():
        version = ReportVersion(**row)
        if (version.report_id, version.version) in wanted:
            # In the order in which the table of answers numbered them.
            sources[version.report_id, version.version] = [
                line["finding"] or ""
                for line in rows_of(version, forms, list_name="", duty="")
                if line["link_id"] == link_id
            ]
    return [replace(case, finding_id=sources[case.report_id, case.version][case.place]) for case in cases]
