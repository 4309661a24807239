"""Outcomes and values of the clinical course as variables of a plan."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from racoon.domain.analysis import PlanDefect, parse_plan
from racoon.domain.dataset import DatasetManifest, DatasetSeries
from racoon.domain.identity import Pseudonym
from racoon.node.analysing.model import CodedFact, Course, NotMeasured
from racoon.node.analysing.service import load_subjects
from racoon.platform.database import Database, create_all, metadata

ICD = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"
LOINC = "http://loinc.org"
DAY = date(2020, 3, 1).toordinal()

COURSE = Course(
    DAY,
    (
        CodedFact("condition", ICD, "J90.1", DAY - 5),
        CodedFact("observation", LOINC, "1988-5", DAY + 1, 80.0, "mg/L"),
        CodedFact("observation", LOINC, "1988-5", DAY - 2, 20.0, "mg/L"),
        CodedFact("observation", LOINC, "1988-5", DAY + 3, 9.0, "mg/dL"),
    ),
    is_dead=True,
    died=DAY + 29,
    seen=DAY + 20,
)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (f"clinical condition {ICD} J90*", 1.0),
        (f"clinical condition {ICD} J90", 0.0),
        (f"clinical procedure {ICD} J90*", 0.0),
        (f"clinical observation {LOINC} 1988-5 first", 20.0),
        (f"clinical observation {LOINC} 1988-5 last", 80.0),
        (f"clinical observation {LOINC} 1988-5 mean", 50.0),
        (f"clinical observation {LOINC} 1988-5 max", 80.0),
        (f"clinical observation {LOINC} 2000-0 max", None),
        ("clinical died", 1.0),
        ("clinical died_within 30", 1.0),
        ("clinical died_within 28", 0.0),
        ("clinical days_observed", 29.0),
    ],
)
def test_a_course_is_read(source: str, expected: float | None) -> None:
    assert COURSE.read(source, "mg/L") == expected


def test_what_nobody_said_is_missing_not_no() -> None:
    assert Course(DAY).read("clinical died", "") is None
    assert Course(DAY, is_dead=False).read("clinical died_within 30", "") == 0.0
    assert Course(DAY, is_dead=True).read("clinical died_within 30", "") is None, (
        "the day of death is unknown"
    )
    assert Course(DAY, is_dead=True, seen=DAY + 9).read("clinical days_observed", "") is None
    assert Course(DAY, is_dead=False, seen=DAY + 9).read("clinical days_observed", "") == 9.0
    assert Course(DAY, seen=DAY - 9).read("clinical days_observed", "") is None


@pytest.mark.parametrize(
    "source", ["clinical", "clinical age", "clinical died_within 0", f"clinical condition {ICD}"]
)
def test_only_listed_sources_are_understood(source: str) -> None:
    variables = [{"name": "a", "kind": "truth", "source": source}]
    with pytest.raises(PlanDefect, match="a source is"):
        parse_plan({"name": "p", "variables": variables, "estimators": []})


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


def test_a_table_joins_images_and_course(database: Database) -> None:
    series = tuple(DatasetSeries(f"2.25.{n}", Pseudonym(f"P{n}"), 10, "0" * 64) for n in range(3))
    with database.begin() as connection:
        tables = metadata("node").tables
        for n in range(3):
            connection.execute(tables["series_fact"].insert(), _series(n))
        for n, dead in ((0, True), (1, False)):
            person = {"key": f"k{n}", "resource_key": f"k{n}", "pseudonym": f"P{n}", "gender": "female",
                      "birth_year": "1950", "is_deceased": dead, "died": "2020-03-11" if dead else ""}  # fmt: skip
            connection.execute(tables["clinical_subject"].insert(), person)
        fact = {
            "key": "f", "number": 0, "resource_key": "f", "pseudonym": "P1", "kind": "condition", "system": ICD,
            "code": "J90", "category": "J90", "day_number": DAY, "value_number": None, "value_unit": "",
        }  # fmt: skip
        connection.execute(tables["clinical_fact"].insert(), fact)
    plan = parse_plan(
        {
            "name": "outcomes",
            "variables": [
                {"name": "death30", "kind": "truth", "source": "clinical died_within 30"},
                {"name": "effusion", "kind": "truth", "source": f"clinical condition {ICD} J90*"},
            ],
            "estimators": [
                {"estimator": "description", "title": "Table 1", "variables": ["death30", "effusion"]}
            ],
        }
    )
    with database.connect() as connection:
        table = load_subjects(connection, plan, DatasetManifest("study-1", "main", series), lambda _: True)
    assert table.columns == {"death30": (1.0, 0.0, None), "effusion": (0.0, 1.0, None)}
    with database.begin() as connection:
        for name in ("clinical_subject", "clinical_fact"):
            connection.execute(metadata("node").tables[name].delete())
    with database.connect() as connection, pytest.raises(NotMeasured, match="no clinical course"):
        load_subjects(connection, plan, DatasetManifest("study-1", "main", series), lambda _: True)


def _series(number: int) -> dict[str, Any]:
    return {
        "series_uid": f"2.25.{number}", "imaging_study_uid": f"2.25.{number}.1", "pseudonym": f"P{number}",
        "modality": "CT", "body_part": "CHEST", "gender": "female", "age_years": 70.0, "slice_thickness_mm": 1.0,
        "instance_count": 10, "study_date": "20200301",
    }  # fmt: skip
