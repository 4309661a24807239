"""Questions to 6.6 million answers of signed reports: counts, a cross table, a range, a file of one question.

300 000 reports of 22 questions each are written by SQL: sixteen coded ones, five numbers, one text.  Every hundredth
subject withdrew, so that consent is asked for.  Each question is asked again and again in one process; the goal is two
seconds for each.

    python bench/bench_answers.py                       6 600 000 answers on SQLite
    python bench/bench_answers.py --reports 20000 --url postgresql://user@host/name
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from bench.bench_qido import percentile
from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import Pseudonym
from racoon.node.consent.model import basis_of
from racoon.node.consent.service import Consent
from racoon.node.reading.reports import _answers
from racoon.node.reading.reports.answer_columns import coded_answers
from racoon.node.reading.reports.asking import Answers, subjects_answering
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all

GOAL_S = 2.0
CODED, NUMBERS, QUESTIONS = 16, 5, 22


def fill(database: Database, reports: int) -> None:
    """Write reports and their answers."""
    consent = Consent(database, AuditLog("node"))
    with database.begin() as connection:
        connection.execute(
            sa.insert(_answers.question),
            [
                {
                    "id": number,
                    "template": "urn:bench:thorax|1",
                    "link_id": f"q{number}",
                    "system": "urn:bench",
                    "code": str(number),
                    "text": f"Question {number}",
                    "unit": "mm" if CODED < number <= CODED + NUMBERS else "",
                }
                for number in range(1, QUESTIONS + 1)
            ],
        )
        connection.execute(
            sa.insert(_answers.value),
            [{"id": n, "system": "urn:bench", "code": f"v{n}", "text": f"Value {n}"} for n in range(1, 101)],
        )
        for start in range(1, reports + 1, 10_000):
            rows = [_report(number) for number in range(start, min(start + 10_000, reports + 1))]
            connection.execute(sa.insert(_answers.answered), rows)
        for number in range(1, QUESTIONS + 1):
            connection.execute(sa.text(_answers_of(number)))
        words = {"kind": "synthetic", "document": "invented people", "scope": "all", "approved_by": "A. Amt"}
        consent.record_basis(
            connection, basis_of({"study_id": ARCHIVE, **words}), actor="bench", actor_role="bench"
        )
        for number in range(1, reports // 2, 100):
            consent.withdraw(
                connection,
                _subject(2 * number),
                "",
                reason="bench",
                source="manual",
                actor="bench",
                actor_role="bench",
            )
        if database.dialect == "postgresql":
            connection.execute(sa.text("ANALYZE reading_answer"))


def _subject(number: int) -> Pseudonym:
    return Pseudonym(f"R1-SUBJECT{number // 2:07d}")


def _report(number: int) -> dict[str, Any]:
    return {
        "id": number,
        "report_id": f"00000000-0000-4000-8000-{number:012d}",
        "version": 1,
        "pseudonym": _subject(number),
        "imaging_study_uid": f"2.25.1.{number}",
        "reader": ("rita", "paul")[number % 2],
        "signed_at": clock.now(),
    }


def _answers_of(number: int) -> str:
    """Write the answers to one question as a statement; what is answered follows from the report's number."""
    mixed = f"((CAST(id AS BIGINT) * {7919 + 2 * number}) % 100003)"
    coded, measured = "NULL", "NULL"
    if number <= CODED:
        coded = f"{1 + 6 * (number - 1)} + {mixed} % 6"
    elif number <= CODED + NUMBERS:
        measured = f"{mixed} / 1000.0"
    text = "'seen'" if number == QUESTIONS else "NULL"
    return (
        "INSERT INTO reading_answer (question_id, report, place, value_id, number, text) "  # noqa: S608 - numbers of this file
        f"SELECT {number}, id, 0, {coded}, {measured}, {text} FROM reading_answered_report"
    )


def questions(database: Database) -> dict[str, Callable[[], Any]]:
    """What a researcher asks."""
    consent = Consent(database, AuditLog("node"))
    asked = Answers(database, AuditLog("node"), consent.condition)

    def coded() -> int:
        with database.connect() as connection:
            found = coded_answers(connection, consent.condition, question_codes=[("urn:bench", "3")])
            # What each answer says and of whom, as another room takes it.
            return len({*zip(found.pseudonyms(), found.imaging_study_uids(), found.codes(), strict=True)})

    def subjects() -> int:
        query = subjects_answering(("urn:bench", "3"), answers=[("urn:bench", "v14")])
        with database.connect() as connection:
            return len(connection.execute(query).all())

    return {
        "every question, how often answered": asked.questions,
        "one question, by coded answer": lambda: asked.count(3),
        "two questions crossed": lambda: asked.cross(3, 5),
        "numbers of one question": lambda: asked.spread(18),
        "numbers in a range": lambda: asked.spread(18, 10.0, 20.0),
        "rows in a range, as a file": lambda: sum(1 for _ in asked.rows("bench", "bench", [18], 10.0, 20.0)),
        "subjects of one coded answer": subjects,
        "rows of one question, for other rooms": coded,
    }


def main(argv: list[str] | None = None) -> int:
    """Fill, ask, print; the exit code says whether every question keeps the goal."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--reports", type=int, default=300_000)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument(
        "--url", default="", help="an empty database; SQLite in a temporary folder by default"
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="racoon-answers-") as folder:
        database = Database(options.url or f"sqlite:///{folder}/node.sqlite")
        create_all(database, "node")
        begun = time.perf_counter()
        fill(database, options.reports)
        filled_s = time.perf_counter() - begun
        rows: dict[str, dict[str, float]] = {}
        for name, ask in questions(database).items():
            times, work = [], []
            for _ in range(options.repetitions):
                begun, used = time.perf_counter(), time.process_time()
                ask()
                times.append(time.perf_counter() - begun)
                work.append(time.process_time() - used)
            rows[name] = {
                "p50_s": percentile(times, 0.5),
                "p95_s": percentile(times, 0.95),
                "processor_s": percentile(work, 0.5),
            }
        database.dispose()
    met = all(row["p50_s"] <= GOAL_S for row in rows.values())
    if options.json:
        shown = {name: {key: round(value, 3) for key, value in row.items()} for name, row in rows.items()}
        print(
            json.dumps(
                {"answers": options.reports * QUESTIONS, "filled_s": round(filled_s, 1), **shown, "met": met},
                indent=1,
            )
        )
    else:
        print(
            f"{options.reports * QUESTIONS} answers, {database.dialect}, filled in {filled_s:.0f} s;"
            f" goal {GOAL_S:.0f} s"
        )
        for name, row in rows.items():
            print(
                f"  {name:40s} p50 {row['p50_s']:6.2f} s  p95 {row['p95_s']:6.2f} s"
                f"  processor {row['processor_s']:6.2f} s"
            )
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
