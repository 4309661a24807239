"""A list in the shape that a cohort network gives (persons, sites and visits by codes): taken, given back, sent on."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.clinical import _listed
from racoon.node.clinical import service as clinical
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.neighbours.lists import give_list, take_list
from racoon.node.clinical.neighbours.model import ListMapping, read_list_mapping
from racoon.node.clinical.neighbours.transfer import (
    FolderSender,
    ListedSubjects,
    ProjectNames,
    StoredCourse,
    transfer,
)
from racoon.node.clinical.rebasing import move_subject
from racoon.node.clinical.table_mapping import BadMapping
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.database import Database, create_all
from tests.unit.node.clinical.test_importing import condition, patient, write

MAPPING = """
project = "napkon-suep"
person = "psn"
number = "fallnummer"
site = "zentrum"
visit = "visite"
day = "visitendatum"
window_days = 10
[sites]
CH01 = "ALPHA"
MU02 = "BETA"
[visits]
V1 = "baseline"
V2 = "month_3"
"""

LIST = """psn;fallnummer;zentrum;visite;visitendatum
mii_A1;4711;CH01;V1;01.03.2024
mii_A1;4711;CH01;V2;2024-06-01
mii_B2;4712;CH01;V1;05.03.2024
mii_C3;9999;MU02;V1;05.03.2024
mii_D4;4713;XX99;V1;05.03.2024
mii_E5;4714;CH01;V9;05.03.2024
mii_F6;4715;CH01;V1;31.02.2024
;4716;CH01;V1;05.03.2024
mii_G7;;CH01;V1;05.03.2024
mii_A1;4711;CH01;V2;01.06.2024
mii_B2;4718;CH01;V2;01.06.2024
"""


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def names(tmp_path: Path) -> Iterator[Pseudonymiser]:
    found = Pseudonymiser(tmp_path / "names" / "master.key", f"sqlite:///{tmp_path}/names/names.sqlite")
    yield found
    found.close()


@pytest.fixture
def mapping(tmp_path: Path) -> ListMapping:
    (tmp_path / "mapping.toml").write_text(MAPPING, "utf-8")
    return read_list_mapping(tmp_path / "mapping.toml")


def everybody(_column: sa.ColumnElement[Any]) -> sa.ColumnElement[bool]:
    return sa.true()


def taken(tmp_path: Path, text: str, *arguments: Any) -> dict[str, Any]:
    (tmp_path / "list.csv").write_text(text, "utf-8")
    return take_list(tmp_path / "list.csv", *arguments).as_json()


def test_a_list_is_taken_in_the_networks_words_and_given_back_in_them(
    tmp_path: Path, database: Database, names: Pseudonymiser, mapping: ListMapping
) -> None:
    facts = taken(tmp_path, LIST, mapping, "ALPHA", database, names)
    assert (facts["rows"], facts["taken"], facts["other_sites"], facts["gone"]) == (11, 3, 1, 0)
    assert {row["reason"].partition(" ")[0]: row["first_lines"] for row in facts["refused_cells"]} == {
        "unknown_site": [6],
        "unknown_visit": [7],
        "no_date": [8],
        "no_person": [9],
        "nobody_here": [10],
        "twice": [11],
        "other_person": [12],
    }
    subject = names.pseudonym(PatientId("4711"))
    with database.connect() as connection:
        rows = _listed.load(connection, mapping.project)
    assert {(row["person"], row["visit"]) for row in rows if row["pseudonym"] == subject} == {
        ("mii_A1", "baseline"),
        ("mii_A1", "month_3"),
    }
    first = next(
        row["day_number"] for row in rows if row["visit"] == "baseline" and row["person"] == "mii_A1"
    )
    studies = {subject: {"1.2.3": first + 9, "1.2.4": first - 11, "1.2.5": None}}
    text, counts = give_list(mapping, "ALPHA", database, everybody, lambda _connection, _may: studies)
    assert counts == {"rows": 3, "with_images": 1, "left_out": 0}
    given = list(csv.DictReader(text.splitlines(), delimiter=";"))
    assert [(row["psn"], row["zentrum"], row["visite"], row["imaging_studies"]) for row in given] == [
        ("mii_A1", "CH01", "V1", "1"),
        ("mii_A1", "CH01", "V2", "0"),
        ("mii_B2", "CH01", "V1", "0"),
    ]
    whole = text + json.dumps(facts)
    assert not any(planted in whole for planted in ("4711", "4712", "9999", "2024"))


def test_a_newer_list_replaces_the_older_one_and_needs_no_numbers(
    tmp_path: Path, database: Database, names: Pseudonymiser, mapping: ListMapping
) -> None:
    taken(tmp_path, LIST, mapping, "ALPHA", database, names)
    newer = "psn;fallnummer;zentrum;visite;visitendatum\nmii_B2;;CH01;V1;05.03.2024\nmii_A1;4712;CH01;V1;\n"
    facts = taken(tmp_path, newer, mapping, "ALPHA", database, names)
    assert (facts["taken"], facts["gone"]) == (1, 2)
    assert [row["reason"] for row in facts["refused_cells"]] == ["other_person psn"]


def test_who_withdrew_is_neither_given_nor_sent_and_who_is_erased_is_on_no_list(
    tmp_path: Path, database: Database, names: Pseudonymiser, mapping: ListMapping
) -> None:
    taken(tmp_path, LIST, mapping, "ALPHA", database, names)
    one, two = (names.pseudonym(PatientId(number)) for number in ("4711", "4712"))
    text, counts = give_list(mapping, "ALPHA", database, lambda column: column != one, lambda _c, _m: {})
    assert counts["left_out"] == 2
    assert "mii_A1" not in text
    assert ListedSubjects(database, mapping.project, lambda column: column != one).subjects() == [two]
    with database.begin() as connection:
        before = _listed.load(connection, mapping.project)
        assert clinical.forget_subject(connection, one) == 2
        move_subject(connection, two, Pseudonym("R1-OTHER"), 3)
        (row,) = _listed.load(connection, mapping.project)
    assert row["pseudonym"] == "R1-OTHER"
    assert row["day_number"] == before[-1]["day_number"] + 3


def test_what_is_transferred_has_names_of_the_project_and_joins_nothing_here(
    tmp_path: Path, database: Database, names: Pseudonymiser, mapping: ListMapping
) -> None:
    encounter = {
        "resourceType": "Encounter",
        "id": "e1",
        "status": "finished",
        "class": {"system": "http://terminology.hl7.org/CodeSystem/v3-ActCode", "code": "IMP"},
        "subject": {"reference": "Patient/p1"},
        "period": {"start": "2024-02-28"},
    }
    at_visit = condition() | {"encounter": {"reference": "Encounter/e1"}}
    Importer(database, names).import_path(write(tmp_path / "in", patient(), encounter, at_visit))
    taken(tmp_path, LIST, mapping, "ALPHA", database, names)
    out = tmp_path / "out" / "bundles.ndjson"
    report = transfer(
        ListedSubjects(database, mapping.project, everybody),
        StoredCourse(database, ["Condition", "Encounter", "Consent"]),
        ProjectNames(names, mapping.project),
        FolderSender(out, "urn:racoon:alpha"),
    )
    assert report.as_json() == {
        "subjects": 1,
        "refused": 0,
        "resources": {"Condition": 1, "Encounter": 1, "Patient": 1},
    }
    (bundle,) = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    number = PatientId("4711")
    text = json.dumps(bundle)
    assert names.pseudonym(number) not in text
    assert names.pseudonym(number, mapping.project) in text
    for kind, identity in (("Condition", "c1"), ("Encounter", "e1")):
        assert names.token(f"fhir/{kind}/{identity}") not in text
    sent = {item["resource"]["resourceType"]: item["resource"] for item in bundle["entry"]}
    addresses = {item["resource"]["resourceType"]: item["fullUrl"] for item in bundle["entry"]}
    assert sent["Condition"]["encounter"]["reference"] == addresses["Encounter"]
    assert sent["Condition"]["subject"]["reference"] == addresses["Patient"]
    shift = names.date_shift_days(number, mapping.project)
    first, second = sent["Encounter"]["period"]["start"], sent["Condition"]["recordedDate"]
    assert (first, second) == (_moved("2024-02-28", shift), _moved("2024-03-01", shift))


def _moved(text: str, days: int) -> str:

    return (date.fromisoformat(text) + timedelta(days=days)).isoformat()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ('MU02 = "ALPHA"', "mean the same here"),
        ("window_days = -1", "window_days"),
        ('colour = "red"', "colour"),
    ],
)
def test_a_mapping_that_cannot_be_written_back_is_refused(tmp_path: Path, change: str, words: str) -> None:
    head, tail = MAPPING.split("[sites]")
    text = (
        head + "[sites]\nCH01 = 'ALPHA'\n" + change
        if "MU02" in change
        else head + change + "\n[sites]" + tail
    )
    (tmp_path / "mapping.toml").write_text(text.replace("window_days = 10\n", ""), "utf-8")
    with pytest.raises(BadMapping) as caught:
        read_list_mapping(tmp_path / "mapping.toml")
    assert words in caught.value.public_message
