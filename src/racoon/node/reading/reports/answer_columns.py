"""Answers of signed reports in columns, for other rooms: words are named once, an answer is a few numbers.

A question with hundreds of thousands of answers is read stretch by stretch into arrays; nothing is made for each
answer, and the words of a report or a value are read once, however many answers name it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa
from numpy.typing import NDArray

from racoon.domain.identity import Pseudonym
from racoon.node.reading.reports import _answers

Readable = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""Condition of ``consent`` over a column with subjects."""

AT_ONCE = 500
"""Rows that are fetched before they become a piece of an array: so few that they are gone before the collector looks at
them; with twenty thousand the same columns take twice as long."""


@dataclass(frozen=True)
class CodedAnswer:
    """One answer of a signed report, for other rooms.

    Parameters
    ----------
    pseudonym, imaging_study_uid
        Whose, and on which examination.
    report_id, reader, signed_at
        Which report; several readers may have read one examination.
    template, link_id, question_system, question_code
        What was asked.
    answer_system, answer_code
        The coded answer; ``true`` and ``false`` of no system for yes and no; empty for a number or text.
    number, unit
        The number and its UCUM code.
    """

    pseudonym: Pseudonym
    imaging_study_uid: str
    report_id: str
    reader: str
    signed_at: datetime
    template: str
    link_id: str
    question_system: str
    question_code: str
    answer_system: str
    answer_code: str
    number: float | None
    unit: str


@dataclass(frozen=True)
class Asked:
    """A question of a template, with the UCUM code of its numbers."""

    template: str
    link_id: str
    system: str
    code: str
    unit: str


@dataclass(frozen=True)
class Reports:
    """The reports that answers are of, one place in each column for each report.

    Parameters
    ----------
    pseudonym, imaging_study_uid, report_id, reader
        Text.
    signed_at
        UTC, to the microsecond.
    """

    pseudonym: NDArray[np.object_]
    imaging_study_uid: NDArray[np.object_]
    report_id: NDArray[np.object_]
    reader: NDArray[np.object_]
    signed_at: NDArray[np.datetime64]


@dataclass(frozen=True)
class AnswerColumns:
    """Answers in columns, sorted by question, then report.

    Parameters
    ----------
    asked
        The questions.
    values
        System and code of the coded answers; the first one is no coded answer, ``("", "")``.
    reports
        The reports.
    question, value, report
        For each answer its place in ``asked``, ``values`` and ``reports``.
    number
        The number of each answer; not a number where there is none.
    """

    asked: Sequence[Asked]
    values: Sequence[tuple[str, str]]
    reports: Reports
    question: NDArray[np.int64]
    value: NDArray[np.int64]
    report: NDArray[np.int64]
    number: NDArray[np.float64]

    def __len__(self) -> int:
        """Return how many answers there are."""
        return len(self.report)

    def pseudonyms(self) -> NDArray[np.object_]:
        """Return the subject of each answer."""
        found: NDArray[np.object_] = self.reports.pseudonym[self.report]
        return found

    def imaging_study_uids(self) -> NDArray[np.object_]:
        """Return the examination of each answer."""
        found: NDArray[np.object_] = self.reports.imaging_study_uid[self.report]
        return found

    def codes(self) -> NDArray[np.object_]:
        """Return the code of each answer; empty where it is a number or a text."""
        codes = np.array([code for _, code in self.values], dtype=object)
        found: NDArray[np.object_] = codes[self.value]
        return found

    def __iter__(self) -> Iterator[CodedAnswer]:
        """Yield the answers one by one: for few."""
        of = self.reports
        moments = [moment.replace(tzinfo=UTC) for moment in of.signed_at.tolist()]
        numbers = (None if number != number else number for number in self.number.tolist())  # noqa: PLR0124 - not a number
        places = zip(self.question.tolist(), self.value.tolist(), self.report.tolist(), numbers, strict=True)
        for question, value, report, number in places:
            asked = self.asked[question]
            system, code = self.values[value]
            yield CodedAnswer(
                Pseudonym(of.pseudonym[report]),
                of.imaging_study_uid[report],
                of.report_id[report],
                of.reader[report],
                moments[report],
                asked.template,
                asked.link_id,
                asked.system,
                asked.code,
                system,
                code,
                number,
                asked.unit,
            )


def coded_answers(
    connection: sa.Connection,
    readable: Readable,
    *,
    question_codes: Collection[tuple[str, str]] = (),
    link_ids: Collection[str] = (),
    templates_named: Collection[str] = (),
    subjects: Collection[Pseudonym] = (),
) -> AnswerColumns:
    """Read the answers of all signed reports, for cohorts and whoever else stands on answers.

    Parameters
    ----------
    connection
        Open connection; :meth:`Answers.catch_up` has taken in what was signed before the table was there.
    readable
        Condition of ``consent``: who may not be read is left out.
    question_codes
        System and code of the questions; empty for all.
    link_ids
        Names of the items in their templates; empty for all.
    templates_named
        Templates, ``URL|version``; empty for all.
    subjects
        Empty for all.

    Returns
    -------
    AnswerColumns
        Sorted by question, then report.
    """
    asked, given, value = _answers.question.c, _answers.answer.c, _answers.value.c
    questions = sa.select(asked.id, asked.template, asked.link_id, asked.system, asked.code, asked.unit)
    if question_codes:
        same = (sa.and_(asked.system == system, asked.code == code) for system, code in question_codes)
        questions = questions.where(sa.or_(*same))
    if link_ids:
        questions = questions.where(asked.link_id.in_(sorted(link_ids)))
    if templates_named:
        questions = questions.where(asked.template.in_(sorted(templates_named)))
    found = connection.execute(questions.order_by(asked.id)).all()
    ids = [int(row.id) for row in found]
    report_ids, reports = _reports(connection, readable, ids, subjects)
    # Each question by itself is one stretch of the table, in the order wanted.
    of_question = sa.select(given.report, sa.func.coalesce(given.value_id, 0), given.number)
    if subjects:
        report = _answers.answered.c
        of_subjects = sa.select(report.id).where(report.pseudonym.in_(sorted(subjects)))
        of_question = of_question.where(given.report.in_(of_subjects))
    parts = []
    for place, number in enumerate(ids):
        query = of_question.where(given.question_id == number).order_by(given.report, given.place)
        answered, coded, numbers = _columns(connection, query, (np.int64, np.int64, np.float64))
        at = np.searchsorted(report_ids, answered)
        # Whoever may not be read has no report here, and so no answer.
        is_shown = report_ids[np.minimum(at, len(report_ids) - 1)] == answered if len(report_ids) else at < 0
        parts.append((np.full(int(is_shown.sum()), place), at[is_shown], coded[is_shown], numbers[is_shown]))
    question, place_of, coded, numbers = (
        np.concatenate(column) if parts else np.empty(0, dtype=kind)
        for column, kind in zip(
            zip(*parts, strict=True) if parts else ((),) * 4,
            (np.int64, np.int64, np.int64, np.float64),
            strict=True,
        )
    )
    used, places = np.unique(np.append(coded, 0), return_inverse=True)
    between = value.id.between(int(used[0]), int(used[-1]))
    words = connection.execute(sa.select(value.id, value.system, value.code).where(between))
    codes = {int(row.id): (str(row.system), str(row.code)) for row in words}
    return AnswerColumns(
        [Asked(*row[1:]) for row in found],
        [("", ""), *(codes[number] for number in used[1:].tolist())],
        reports,
        question,
        places[:-1],
        place_of,
        numbers,
    )


def _reports(
    connection: sa.Connection, readable: Readable, ids: Sequence[int], subjects: Collection[Pseudonym]
) -> tuple[NDArray[np.int64], Reports]:
    """Read the reports that answer one of some questions, of subjects who may be read."""
    report, given = _answers.answered.c, _answers.answer.c
    query = sa.select(
        report.id, report.pseudonym, report.imaging_study_uid, report.report_id, report.reader,
        _microseconds(connection, report.signed_at),
    )  # fmt: skip
    query = query.where(
        readable(report.pseudonym), report.id.in_(sa.select(given.report).where(given.question_id.in_(ids)))
    )
    if subjects:
        query = query.where(report.pseudonym.in_(sorted(subjects)))
    kinds = (np.int64, object, object, object, object, "datetime64[us]")
    numbers, *columns = _columns(connection, query.order_by(report.id), kinds)
    return numbers, Reports(*columns)


def _microseconds(connection: sa.Connection, column: sa.ColumnElement[datetime]) -> sa.ColumnElement[Any]:
    """Return a moment as numpy reads it without an object of its own: UTC as text, or microseconds since 1970."""
    if connection.dialect.name == "sqlite":
        return sa.type_coerce(column, sa.String)
    return sa.cast(sa.func.extract("epoch", column) * 1_000_000, sa.BigInteger)


def _columns(connection: sa.Connection, query: sa.Select[Any], kinds: Sequence[Any]) -> list[NDArray[Any]]:
    pieces: list[list[NDArray[Any]]] = [[] for _ in kinds]
    with connection.execute(query) as rows:
        # The driver's own rows: the toolkit would make an object of each, which takes as long again as reading.
        cursor = rows.cursor
        assert cursor is not None
        while part := cursor.fetchmany(AT_ONCE):
            for piece, column, kind in zip(pieces, zip(*part, strict=True), kinds, strict=True):
                piece.append(np.array(column, dtype=kind))
    return [
        np.concatenate(piece) if piece else np.empty(0, dtype=kind)
        for piece, kind in zip(pieces, kinds, strict=True)
    ]
