"""What a sender deletes with two quotation marks goes, what it leaves empty stays, and nothing late brings it back."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from racoon.node.clinical import _store
from tests.hl7_messages import BEGAN, adt, orm, oru
from tests.unit.node.clinical.hl7.conftest import Clinic

HOUR = timedelta(hours=1)
QUOTES = '""'


def changed(message: bytes, name: str, fields: dict[int, str]) -> bytes:
    """Put other values into fields of a message's first segment of a name."""
    charset = "latin-1" if b"8859/1" in message else "utf-8"
    lines = message.decode(charset).rstrip("\r").split("\r")
    place = next(index for index, line in enumerate(lines) if line.startswith(name))
    parts = lines[place].split("|")
    parts += [""] * (max(fields) + 1 - len(parts))
    for field, value in fields.items():
        parts[field] = value
    lines[place] = "|".join(parts)
    return ("\r".join(lines) + "\r").encode(charset)


def person(control_id: str, hours: int, fields: dict[int, str]) -> bytes:
    return changed(adt("A31", "4711", control_id, at=BEGAN + hours * HOUR), "PID", fields)


FULL = {7: "19610517", 8: "F", 11: "Weg 5^^Köln^^50667^DE", 29: "20240229", 30: "Y"}


@pytest.mark.parametrize(
    ("field", "element"), [(7, "birthDate"), (8, "gender"), (11, "address"), (29, "deceasedDateTime")]
)
def test_every_field_of_a_person_can_be_deleted_and_comes_back(
    clinic: Clinic, field: int, element: str
) -> None:
    empty = dict.fromkeys(FULL, "")
    clinic.send(person("1", 0, FULL), person("2", 1, empty))
    clinic.work()
    (before,) = clinic.contents("Patient")
    assert {"birthDate", "gender", "address", "deceasedDateTime"} <= set(before), "empty means unchanged"
    clinic.send(person("3", 3, empty | {field: QUOTES}), person("4", 2, FULL))
    clinic.work()
    (after,) = clinic.contents("Patient")
    assert "50667"[:2] not in str(after.get(element))
    assert (
        after.get(element, [{}])[0].get("postalCode") is None
        if element == "address"
        else element not in after
    )
    kept = {"birthDate", "gender", "address", "deceasedDateTime"} - {element}
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    clinic.send(person("5", 5, FULL))
    clinic.work()
    (again,) = clinic.contents("Patient")
    assert {**again, "meta": 0} == {**before, "meta": 0}


def test_a_death_that_was_told_by_mistake_is_none(clinic: Clinic) -> None:
    clinic.send(person("1", 0, {29: "", 30: "Y"}), person("2", 1, {30: "N"}))
    clinic.work()
    assert [row["is_deceased"] for row in clinic.rows(_store.subject)] == [False]
    clinic.send(person("3", 2, {30: QUOTES}))
    clinic.work()
    assert [row["is_deceased"] for row in clinic.rows(_store.subject)] == [None]


def test_course_of_deletions_is_the_same_in_whatever_order_it_came(clinic: Clinic) -> None:
    def visit(name: str, event: str, hours: int, fields: dict[int, str]) -> bytes:
        message = adt(event, f"P{name}", f"{name}-{hours}", at=BEGAN + hours * HOUR, visit=f"V{name}")
        return changed(message, "PV1", fields)

    orders = list(itertools.permutations(range(4)))
    courses = [
        [
            visit(str(index), "A01", 0, {44: "20240301070000"}),
            visit(str(index), "A03", 2, {45: "20240301100000"}),
            visit(str(index), "A08", 3, {2: QUOTES, 44: QUOTES, 45: QUOTES}),
            visit(str(index), "A08", 4, {2: ""}),
        ]
        for index in range(len(orders))
    ]
    for place in range(4):
        clinic.send(*(found[order[place]] for found, order in zip(courses, orders, strict=True)))
        clinic.work()
    found = {
        (row["status"], row["class_code"], row["start"], row["end"]) for row in clinic.rows(_store.encounter)
    }
    assert found == {("finished", "", "", "")}


def test_fields_of_an_order_and_quotes_where_a_name_is_wanted(clinic: Clinic) -> None:
    dated = changed(orm("4711", "1"), "OBR", {36: "20240303"})
    clinic.send(dated, changed(orm("4711", "2", at=BEGAN + HOUR), "ORC", {9: ""}))
    clinic.work()
    (order,) = clinic.contents("ServiceRequest")
    assert {"authoredOn", "occurrenceDateTime"} <= set(order)
    gone = changed(orm("4711", "3", at=BEGAN + 2 * HOUR), "ORC", {9: QUOTES})
    clinic.send(changed(gone, "OBR", {36: QUOTES}))
    clinic.work()
    (order,) = clinic.contents("ServiceRequest")
    assert not {"authoredOn", "occurrenceDateTime"} & set(order)
    # Two quotation marks are no number of a visit, no unit, no flag, no word and no code.
    clinic.send(changed(adt("A01", "4711", "4", visit="V1"), "PV1", {19: QUOTES}))
    value = changed(oru("4711", "5"), "OBX", {5: QUOTES, 6: QUOTES, 7: QUOTES, 8: QUOTES})
    clinic.send(value)
    clinic.work()
    assert clinic.rows(_store.encounter) == []
    (row,) = clinic.rows(_store.observation)
    assert (row["value_number"], row["value_unit"], row["interpretation"]) == (None, "", "")
    held: list[Any] = clinic.inbox.open_messages()
    assert held == []


def test_a_value_comes_whole_so_that_no_flag_of_an_earlier_one_stays(clinic: Clinic) -> None:
    clinic.send(
        oru("4711", "1", value="18"), changed(oru("4711", "2", at=BEGAN + HOUR, status="C"), "OBX", {8: ""})
    )
    clinic.work()
    (row,) = clinic.rows(_store.observation)
    assert (row["value_number"], row["interpretation"]) == (7.5, "")
