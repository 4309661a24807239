"""`racoon node answers`: questions to signed reports, by an operator at the console."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from racoon.node.app.administration import prepare
from racoon.node.app.operation import OPERATOR, person
from racoon.node.app.permission import open_consent
from racoon.node.reading.reports.answer_files import FileKind, pieces
from racoon.node.reading.reports.asking import Answers
from racoon.node.settings import load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database


@contextmanager
def _opened(config: Path) -> Iterator[Answers]:
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    try:
        audit = AuditLog("node", settings.release.policy().version)
        found = Answers(database, audit, open_consent(settings, database, audit).condition)
        found.catch_up()
        yield found
    finally:
        database.dispose()


def list_questions(config: Path) -> list[dict[str, Any]]:
    """List the questions that were answered, with how often."""
    with _opened(config) as answers:
        return [vars(item) for item in answers.questions()]


def count_answers(config: Path, question: int, low: float | None, high: float | None) -> dict[str, Any]:
    """Count the coded answers to a question and describe its numbers.

    Raises
    ------
    NoSuchQuestion
    """
    with _opened(config) as answers:
        return {
            "answers": [vars(item) for item in answers.count(question, low, high)],
            "numbers": vars(answers.spread(question, low, high)),
        }


def cross_answers(config: Path, first: int, second: int) -> list[dict[str, Any]]:
    """Cross two questions of the same reports.

    Raises
    ------
    NoSuchQuestion
    """
    with _opened(config) as answers:
        return [
            {"first": a.text or a.code, "second": b.text or b.code, "number": number}
            for a, b, number in answers.cross(first, second)
        ]


def export_answers(
    config: Path,
    to: Path,
    kind: FileKind,
    questions: Sequence[int],
    low: float | None,
    high: float | None,
) -> int:
    """Write answers to a file; returns its size in bytes.

    Raises
    ------
    NoSuchQuestion, ParquetMissing
    """
    with _opened(config) as answers, to.open("wb") as stream:
        return sum(
            stream.write(piece)
            for piece in pieces(answers.rows(person(), OPERATOR, questions, low, high), kind)
        )
