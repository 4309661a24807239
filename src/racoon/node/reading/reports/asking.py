"""What one may ask of the answers of all signed reports: counts, two questions crossed, ranges, rows.

Everything is of the newest signed version of each report, and of subjects who may be read now.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.errors import Refused
from racoon.node.reading.reports import _answers
from racoon.node.reading.reports.answer_cases import AnsweredCase, Behind, cases_behind, in_range
from racoon.node.reading.reports.answer_columns import Readable
from racoon.node.reading.reports.catalogue import templates
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

CAUGHT_UP = 200
"""Reports of before the table that one transaction takes in."""


class NoSuchQuestion(Refused):
    """A question that nobody has answered here."""

    code: ClassVar[str] = "reading.no_such_question"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class Question:
    """A question of a template that was answered.

    Parameters
    ----------
    id
        Number at this node.
    template, link_id
        Template with its version, and the item's name in it.
    system, code, text, unit
        What it asks, and the UCUM code of its numbers.
    answers
        How many answers there are, of everybody.
    """

    id: int
    template: str
    link_id: str
    system: str
    code: str
    text: str
    unit: str
    answers: int = 0


@dataclass(frozen=True)
class Counted:
    """An answer and how often it was given."""

    system: str
    code: str
    text: str
    number: int


@dataclass(frozen=True)
class Spread:
    """Numbers given to a question: how many, their sum's mean, and the ends."""

    count: int
    mean: float | None
    minimum: float | None
    maximum: float | None


def subjects_answering(
    question: tuple[str, str],
    *,
    answers: Collection[tuple[str, str]] = (),
    low: float | None = None,
    high: float | None = None,
) -> sa.Select[Any]:
    """Select the subjects of whom a signed report says something: a statement to stand in another one.

    Parameters
    ----------
    question
        System and code of the question, in whatever template.
    answers
        System and code of the coded answers that count; empty for any.
    low, high
        Only numbers in this range, in the unit of the question.

    Returns
    -------
    Select
        One column, ``pseudonym``; whoever runs it adds the condition of ``consent``.
    """
    asked, given, report, value = (
        _answers.question.c,
        _answers.answer.c,
        _answers.answered.c,
        _answers.value.c,
    )
    # By number of question and answer, so that one stretch of an index is read and not the words of each row.
    ids = sa.select(asked.id).where(asked.system == question[0], asked.code == question[1])
    query = sa.select(report.pseudonym).join(_answers.answer, given.report == report.id).distinct()
    query = query.where(given.question_id.in_(ids), *in_range(low, high))
    if answers:
        same = (sa.and_(value.system == system, value.code == code) for system, code in answers)
        query = query.where(given.value_id.in_(sa.select(value.id).where(sa.or_(*same))))
    return query


def _joined(*columns: Any) -> sa.Select[Any]:
    tables = _answers.answer.join(_answers.question, _answers.question.c.id == _answers.answer.c.question_id)
    tables = tables.join(_answers.answered, _answers.answered.c.id == _answers.answer.c.report)
    tables = tables.outerjoin(_answers.value, _answers.value.c.id == _answers.answer.c.value_id)
    return sa.select(*columns).select_from(tables)


class Answers:
    """The answers of one node.

    Parameters
    ----------
    database, audit
        The node's own.
    readable
        Condition of ``consent`` on every read.
    """

    def __init__(self, database: Database, audit: AuditLog, readable: Readable) -> None:
        self._database = database
        self._audit = audit
        self._readable = readable
        self._has_all = False

    def catch_up(self) -> int:
        """Take in what was signed before the table was there, once in a process; returns how many reports."""
        taken = 0
        while not self._has_all:
            with self._database.connect() as connection:
                forms = templates(connection)
                found = [
                    version
                    for version in _answers.missing(connection, CAUGHT_UP)
                    if version.response["questionnaire"] in forms
                ]
            if not found:
                self._has_all = True
                break
            with self._database.begin() as connection:
                for version in found:
                    _answers.record(connection, version, forms)
            taken += len(found)
        return taken

    def questions(self) -> list[Question]:
        """List the questions that were answered, with how often, by template and in the order they came."""
        given, asked = _answers.answer.c, _answers.question.c
        # Counted whole along the index, less the few of reports that may not be read: half the work of asking for each.
        counted = sa.select(given.question_id, sa.func.count()).group_by(given.question_id)
        closed = counted.where(given.report.in_(self._closed()))
        with self._database.connect() as connection:
            numbers = {row[0]: int(row[1]) for row in connection.execute(counted)}
            for number, taken in connection.execute(closed):
                numbers[number] -= taken
            query = sa.select(_answers.question).order_by(asked.template, asked.id)
            rows = [dict(row) for row in connection.execute(query).mappings()]
        return [Question(**row, answers=numbers[row["id"]]) for row in rows if numbers.get(row["id"])]

    def count(self, question_id: int, low: float | None = None, high: float | None = None) -> list[Counted]:
        """Count the coded answers to a question, most frequent first.

        Raises
        ------
        NoSuchQuestion
        """
        given, value = _answers.answer.c, _answers.value
        inner = sa.select(given.value_id, sa.func.count().label("number")).where(
            given.question_id == question_id,
            given.value_id.is_not(None),
            self._is_shown(),
            *in_range(low, high),
        )
        counts = inner.group_by(given.value_id).subquery()
        query = sa.select(value.c.system, value.c.code, value.c.text, counts.c.number)
        query = query.join(counts, counts.c.value_id == value.c.id).order_by(
            counts.c.number.desc(), value.c.code
        )
        with self._database.connect() as connection:
            self._require(connection, question_id)
            return [Counted(*row) for row in connection.execute(query)]

    def spread(self, question_id: int, low: float | None = None, high: float | None = None) -> Spread:
        """Describe the numbers given to a question, of those in a range.

        Raises
        ------
        NoSuchQuestion
        """
        given = _answers.answer.c
        query = sa.select(
            sa.func.count(given.number),
            sa.func.avg(given.number),
            sa.func.min(given.number),
            sa.func.max(given.number),
        ).where(given.question_id == question_id, self._is_shown(), *in_range(low, high))
        with self._database.connect() as connection:
            self._require(connection, question_id)
            return Spread(*connection.execute(query).one())

    def cross(self, first: int, second: int) -> list[tuple[Counted, Counted, int]]:
        """Cross two questions of the same reports: how often each pair of coded answers was given together.

        Raises
        ------
        NoSuchQuestion
        """
        a, b = _answers.answer.alias("a"), _answers.answer.alias("b")
        pairs = (
            sa.select(a.c.value_id.label("a"), b.c.value_id.label("b"), sa.func.count().label("number"))
            .where(a.c.question_id == first, b.c.question_id == second, a.c.report == b.c.report)
            .where(a.c.value_id.is_not(None), b.c.value_id.is_not(None), self._is_shown(a))
            .group_by(a.c.value_id, b.c.value_id)
        )
        value = _answers.value.c
        with self._database.connect() as connection:
            for number in (first, second):
                self._require(connection, number)
            found = connection.execute(pairs).all()
            known = {number for row in found for number in (row.a, row.b)}
            query = sa.select(_answers.value).where(value.id.in_(known))
            words = {row.id: Counted(row.system, row.code, row.text, 0) for row in connection.execute(query)}
        ordered = sorted(found, key=lambda row: -row.number)
        return [(words[row.a], words[row.b], int(row.number)) for row in ordered]

    def rows(
        self,
        actor: str,
        actor_role: str,
        question_ids: Sequence[int] = (),
        low: float | None = None,
        high: float | None = None,
    ) -> Iterator[dict[str, Any]]:
        """Yield answers as rows for a file; audited.

        Parameters
        ----------
        question_ids
            Empty for all questions.
        low, high
            Only numbers in this range.
        """
        given, report, asked, value = (
            _answers.answer.c,
            _answers.answered.c,
            _answers.question.c,
            _answers.value.c,
        )
        columns = [
            report.pseudonym, report.imaging_study_uid, report.reader, report.signed_at, report.report_id,
            report.version, asked.template, asked.link_id, asked.system.label("question_system"),
            asked.code.label("question_code"), asked.text.label("question"),
            value.system.label("answer_system"), value.code.label("answer_code"), value.text.label("answer"),
            given.number, asked.unit, given.text,
        ]  # fmt: skip
        query = _joined(*columns).where(self._is_shown(), *in_range(low, high))
        if question_ids:
            query = query.where(given.question_id.in_(list(question_ids)))
        query = query.order_by(given.question_id, given.report, given.place)
        with self._database.begin() as connection:
            for number in question_ids:
                self._require(connection, number)
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="reading.export",
                target="answers",
                details={"questions": list(question_ids), "from": low, "to": high},
            )
        with self._database.connect() as connection:
            for row in connection.execution_options(yield_per=5000).execute(query).mappings():
                yield {**row, "signed_at": row["signed_at"].isoformat()}

    def cases(self, wanted: Behind, offset: int = 0) -> list[AnsweredCase]:
        """List the reports that a number counts, one page of them."""
        with self._database.connect() as connection:
            self._require(connection, wanted.question_id)
            return cases_behind(connection, self._readable, wanted, offset)

    def _is_shown(self, table: Any = _answers.answer) -> sa.ColumnElement[bool]:
        """Condition on answers: of no report of somebody who may not be read; few, so they are named."""
        return sa.and_(table.c.report.not_in(self._closed()))

    def _closed(self) -> sa.Select[Any]:
        report = _answers.answered.c
        return sa.select(report.id).where(sa.not_(self._readable(report.pseudonym))).correlate(None)

    def _require(self, connection: sa.Connection, question_id: int) -> None:
        query = sa.select(_answers.question.c.id).where(_answers.question.c.id == question_id)
        if connection.execute(query).first() is None:
            raise NoSuchQuestion("Nobody has answered this question here; open the list of questions again.")
