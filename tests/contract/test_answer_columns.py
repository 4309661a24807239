"""Answers in columns say what the tables say, on both databases, and nothing of whoever may not be read."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.reading.reports import answer_columns
from racoon.node.reading.reports.answer_columns import coded_answers
from racoon.platform.database import Database, create_all, metadata

REPORTS, SEED = 700, 11
"""More than one stretch of reports."""


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    url = f"sqlite:///{tmp_path}/node.sqlite"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgresql_url")
    found = Database(url)
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def rows(database: Database) -> list[dict[str, Any]]:
    """Fill the tables at random; return every answer in words."""
    draw, found = random.Random(SEED), []
    tables = metadata("node").tables
    questions = [
        {"id": 3 * n + 1, "template": f"urn:t|{1 + n % 2}", "link_id": f"q{n // 2}", "system": "urn:q",
         "code": f"c{n}", "text": "?", "unit": "mm" if n % 2 else ""}
        for n in range(6)
    ]  # fmt: skip
    values = [{"id": 7 * n + 5, "system": "urn:v", "code": f"v{n}", "text": ""} for n in range(9)]
    reports = [
        {"id": 2 * n + 1, "report_id": f"report-{n}", "version": 1, "pseudonym": f"S{n % 90}",
         "imaging_study_uid": f"2.25.{n}", "reader": draw.choice(("ada", "ben")),
         "signed_at": datetime(2026, 3, 1, tzinfo=UTC) + timedelta(microseconds=draw.randrange(10**13))}
        for n in range(REPORTS)
    ]  # fmt: skip
    answers = []
    for question in questions:
        for report in draw.sample(reports, 3 * REPORTS // 4):
            for place in range(draw.randint(1, 2)):
                value = draw.choice([None, *values])
                number = None if value else draw.choice([None, draw.uniform(-1e9, 1e9)])
                answers.append(
                    {"question_id": question["id"], "report": report["id"], "place": place,
                     "value_id": value["id"] if value else None, "number": number, "text": None}
                )  # fmt: skip
                found.append({"question": question, "report": report, "value": value, "number": number})
    with database.begin() as connection:
        for name, filled in (("question", questions), ("answer_value", values), ("answered_report", reports)):
            connection.execute(sa.insert(tables[f"reading_{name}"]), filled)
        connection.execute(sa.insert(tables["reading_answer"]), answers)
    return found


def everybody(_column: object) -> sa.ColumnElement[bool]:
    return sa.true()


def some(column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    """Whoever has an even number was not taken back."""
    return column.in_([f"S{n}" for n in range(0, 90, 2)])


def in_words(row: dict[str, Any]) -> tuple[Any, ...]:
    question, report, value = row["question"], row["report"], row["value"] or {"system": "", "code": ""}
    return (
        report["pseudonym"], report["imaging_study_uid"], report["report_id"], report["reader"], report["signed_at"],
        question["template"], question["link_id"], question["system"], question["code"], value["system"],
        value["code"], row["number"], question["unit"],
    )  # fmt: skip


def said(answers: answer_columns.AnswerColumns) -> list[tuple[Any, ...]]:
    return [tuple(vars(answer).values()) for answer in answers]


def ordered(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=repr)


def test_columns_equal_the_rows(database: Database, rows: list[dict[str, Any]]) -> None:
    with database.connect() as connection:
        everything = coded_answers(connection, everybody)
        readable = coded_answers(connection, some)
        one = coded_answers(connection, everybody, question_codes=[("urn:q", "c3")])
        of_few = coded_answers(
            connection,
            some,
            link_ids=["q1"],
            templates_named=["urn:t|1"],
            subjects=[Pseudonym("S3"), Pseudonym("S4")],
        )
        nobody = coded_answers(connection, lambda _column: sa.false())
        unknown = coded_answers(connection, everybody, question_codes=[("urn:q", "gone")])
    assert len(everything) == len(rows) > REPORTS
    assert ordered(said(everything)) == ordered([in_words(row) for row in rows])
    even = [row for row in rows if int(row["report"]["pseudonym"][1:]) % 2 == 0]
    assert ordered(said(readable)) == ordered([in_words(row) for row in even])
    assert ordered(said(one)) == ordered([in_words(row) for row in rows if row["question"]["code"] == "c3"])
    assert ordered(said(of_few)) == ordered(
        [
            in_words(row)
            for row in rows
            if row["report"]["pseudonym"] == "S4"
            and (row["question"]["link_id"], row["question"]["template"]) == ("q1", "urn:t|1")
        ]
    )
    assert len(of_few) > 0
    assert (len(nobody), said(nobody), len(unknown)) == (0, [], 0)


def test_a_column_has_one_entry_for_each_answer(database: Database, rows: list[dict[str, Any]]) -> None:
    with database.connect() as connection:
        found = coded_answers(connection, some)
    listed = said(found)
    assert found.pseudonyms().tolist() == [row[0] for row in listed]
    assert found.imaging_study_uids().tolist() == [row[1] for row in listed]
    assert found.codes().tolist() == [row[10] for row in listed]
    assert np.isnan(found.number).tolist() == [row[11] is None for row in listed]
    # Sorted by question, then report, as a file of them would be.
    assert [row[8] for row in listed] == sorted(row[8] for row in listed)
    assert len({row["question"]["code"] for row in rows}) == len(found.asked)
