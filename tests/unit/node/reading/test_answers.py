"""Signed answers as rows that can be asked: the same as in the report, newest version only, gone with the subject."""

from __future__ import annotations

import csv
import io
from collections import Counter

import sqlalchemy as sa
from starlette.testclient import TestClient

from racoon.domain.identity import Pseudonym
from racoon.node.reading.reports import service
from racoon.node.reading.reports.answer_columns import coded_answers
from racoon.node.reading.reports.answer_files import pieces
from racoon.node.reading.reports.asking import Answers, subjects_answering
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.published import signed_on
from racoon.node.reading.reports.table import rows_of
from racoon.platform.audit import AuditLog
from racoon.platform.database import metadata
from tests.dicom_objects import uid
from tests.unit.node.reading.test_findings_and_reports import REPORT, Node, node
from tests.unit.node.reading.test_signed_reports import signed

__all__ = ["node"]


def everybody(_column: object) -> sa.ColumnElement[bool]:
    return sa.true()


def nobody(_column: object) -> sa.ColumnElement[bool]:
    return sa.false()


def asked(node: Node) -> Answers:
    return Answers(node.database, AuditLog("node"), everybody)


def amended(client: TestClient) -> None:
    revision = client.post(f"{REPORT}/amend", json={"reason": "looked again"}).json()["revision"]
    answer = client.post(f"{REPORT}/sign?based_on={revision}")
    assert answer.status_code == 200, answer.text


def test_answers_are_counted_crossed_exported_caught_up_with_and_forgotten(node: Node) -> None:
    signed(node, "ada")
    signed(node, "ben")
    with node.database.connect() as connection:
        forms = templates(connection)
        expected = [
            row
            for version in signed_on(connection, [uid(1)])
            for row in rows_of(version, forms, list_name="", duty="")
        ]
        found = list(coded_answers(connection, everybody))
        assert list(coded_answers(connection, nobody)) == []
        one = next(item for item in found if item.question_code)
        same = list(
            coded_answers(connection, everybody, question_codes=[(one.question_system, one.question_code)])
        )
    assert {item.question_code for item in same} == {one.question_code}
    assert Counter(item.link_id for item in found) == Counter(row["link_id"] for row in expected)
    assert sorted(item.number for item in found if item.number is not None) == sorted(
        row["number"] for row in expected if row["number"] is not None
    )
    assert Counter(item.answer_code for item in found if item.answer_system) == Counter(
        row["answer_code"] for row in expected if row["answer_code"] is not None
    )
    with node.database.connect() as connection:
        coded_one = next(item for item in found if item.answer_system)
        question = (coded_one.question_system, coded_one.question_code)
        given = [(coded_one.answer_system, coded_one.answer_code)]
        assert connection.execute(subjects_answering(question, answers=given)).scalars().all() == ["SUBJ-1"]
        assert connection.execute(subjects_answering(question, answers=[("", "else")])).all() == []
        numbered = next(item for item in found if item.number is not None and item.question_code)
        question = (numbered.question_system, numbered.question_code)
        assert connection.execute(subjects_answering(question, low=0)).scalars().all() == ["SUBJ-1"]
        assert connection.execute(subjects_answering(question, low=1e6)).all() == []
    answers = asked(node)
    questions = {item.link_id: item for item in answers.questions()}
    assert sum(item.answers for item in questions.values()) == len(expected)
    coded = [row for row in expected if row["answer_code"] is not None]
    for link_id in {row["link_id"] for row in coded}:
        counted = {item.code: item.number for item in answers.count(questions[link_id].id)}
        assert counted == Counter(row["answer_code"] for row in coded if row["link_id"] == link_id)
    first, second = sorted({row["link_id"] for row in coded})[:2]
    pairs = Counter(
        (a["answer_code"], b["answer_code"])
        for a in coded
        for b in coded
        if (a["link_id"], b["link_id"]) == (first, second) and a["report"] == b["report"]
    )
    crossed = answers.cross(questions[first].id, questions[second].id)
    assert {(a.code, b.code): number for a, b, number in crossed} == pairs
    number = next(row for row in expected if row["number"] is not None)
    spread = answers.spread(questions[number["link_id"]].id)
    values = [row["number"] for row in expected if row["link_id"] == number["link_id"]]
    assert (spread.count, spread.minimum, spread.maximum) == (len(values), min(values), max(values))
    assert answers.spread(questions[number["link_id"]].id, low=max(values) + 1).count == 0
    written = b"".join(pieces(answers.rows("ida", "reader"), "csv")).decode()
    lines = list(csv.DictReader(io.StringIO(written)))
    assert len(lines) == len(expected)
    assert Counter(line["answer_code"] for line in lines if line["answer_system"]) == Counter(
        row["answer_code"] for row in coded
    )
    # An amended report is one report.
    amended(node.as_("ada"))
    assert sum(item.answers for item in answers.questions()) == len(expected)
    # What was signed before there was a table comes in.
    before = asked(node).questions()
    tables = metadata("node").tables
    with node.database.begin() as connection:
        for name in ("reading_answer", "reading_answered_report"):
            connection.execute(sa.delete(tables[name]))
    again = asked(node)
    assert again.questions() == []
    assert again.catch_up() == 2
    assert again.catch_up() == 0
    assert again.questions() == before
    with node.database.begin() as connection:
        service.forget_subject(connection, Pseudonym("SUBJ-1"))
        assert list(coded_answers(connection, everybody)) == []
    assert asked(node).catch_up() == 0
