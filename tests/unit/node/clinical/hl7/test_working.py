"""Messages become the clinical course: nothing lost, nothing twice, in whatever order they came."""

from __future__ import annotations

import itertools
from datetime import date, timedelta

import pytest

from racoon.domain.identity import PatientId
from racoon.node.clinical import _store
from racoon.node.clinical.hl7.model import State
from tests.hl7_messages import BEGAN, adt, expected_course, faulty_stream, found_course, orm, oru
from tests.unit.node.clinical.hl7.conftest import Clinic

HOUR = timedelta(hours=1)


def test_visit_of_a_patient_joins_the_images(clinic: Clinic) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), adt("A03", "4711", "2", at=BEGAN + 5 * HOUR, visit="V1"))
    assert clinic.work() == 2
    (visit,) = clinic.rows(_store.encounter)
    day = date(2024, 3, 1) + timedelta(days=clinic.shift("4711"))
    assert visit["pseudonym"] == clinic.names.pseudonym(PatientId("4711"))
    assert (visit["class_code"], visit["status"]) == ("IMP", "finished")
    assert visit["start"] == f"{day}T08:00:00+01:00"
    assert visit["end"] == f"{day}T13:00:00+01:00"
    (person,) = clinic.rows(_store.subject)
    assert (person["gender"], person["birth_year"]) == ("female", "1961")


def test_result_keeps_number_unit_range_and_flag(clinic: Clinic) -> None:
    clinic.send(oru("4711", "1", visit="V1"))
    clinic.work()
    (row,) = clinic.rows(_store.observation)
    assert (row["code"], row["value_number"], row["value_unit"]) == ("718-7", 7.5, "g/dL")
    assert (row["interpretation"], row["is_laboratory"], row["status"]) == ("L", True, "final")
    (content,) = clinic.contents("Observation")
    assert content["referenceRange"][0]["low"]["value"] == 12.0


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("OBX|3|SN|2345-7^Glukose^LN||<^5|mg/dL|<100|N|||F", {"value": 5.0, "comparator": "<"}),
        ("OBX|3|ST|2345-7^Glukose^LN||>= 12,5|mg/dL||H|||F", {"value": 12.5, "comparator": ">="}),
    ],
)
def test_bounds_of_a_value_stay(clinic: Clinic, line: str, wanted: dict[str, object]) -> None:
    clinic.send(oru("4711", "1", extra=[line]))
    clinic.work()
    found = next(
        item["valueQuantity"]
        for item in clinic.contents("Observation")
        if item["code"]["coding"][0]["code"] == "2345-7"
    )
    assert {name: found[name] for name in wanted} == wanted


def test_words_of_qualitative_results_are_codes_and_other_texts_are_left(clinic: Clinic) -> None:
    lines = ["OBX|3|ST|5802-4^Nitrit^LN||positiv||||||F", "OBX|4|ST|5803-2^pH^LN||siehe Frau Müller||||||F"]
    clinic.send(oru("4711", "1", extra=lines))
    clinic.work()
    values = {row["code"]: row["value_code"] for row in clinic.rows(_store.observation)}
    assert values == {"718-7": "", "5802-4": "10828004", "5803-2": ""}


def test_order_and_its_cancellation(clinic: Clinic) -> None:
    clinic.send(orm("4711", "1"), orm("4711", "2", at=BEGAN + HOUR, control="CA"))
    clinic.work()
    (order,) = clinic.contents("ServiceRequest")
    assert (order["status"], order["intent"]) == ("revoked", "order")


def course(number: str = "4711", visit: str = "V1") -> list[bytes]:
    """A visit of which the first discharge is taken back."""
    return [
        adt("A01", number, f"{visit}1", visit=visit),
        adt("A03", number, f"{visit}2", at=BEGAN + 2 * HOUR, visit=visit),
        adt("A13", number, f"{visit}3", at=BEGAN + 3 * HOUR, visit=visit),
        adt("A03", number, f"{visit}4", at=BEGAN + 5 * HOUR, visit=visit),
        adt("A08", number, f"{visit}5", at=BEGAN + 6 * HOUR, visit=visit),
    ]


def test_course_is_the_same_in_whatever_order_it_came(clinic: Clinic) -> None:
    orders = list(itertools.permutations(range(5)))
    courses = [course(f"P{index}", f"V{index}") for index in range(len(orders))]
    for place in range(5):
        clinic.send(*(found[order[place]] for found, order in zip(courses, orders, strict=True)))
        clinic.work()
    found = [(row["status"], row["start"][10:], row["end"][10:]) for row in clinic.rows(_store.encounter)]
    assert found == [("finished", "T08:00:00+01:00", "T13:00:00+01:00")] * 120


def test_cancelled_discharge_and_cancelled_admission(clinic: Clinic) -> None:
    clinic.send(*course()[:3])
    clinic.work()
    (visit,) = clinic.rows(_store.encounter)
    assert (visit["status"], visit["end"]) == ("in-progress", "")
    clinic.send(adt("A11", "4711", "9", at=BEGAN + 9 * HOUR, visit="V1"))
    clinic.work()
    assert [row["status"] for row in clinic.rows(_store.encounter)] == ["cancelled"]


def test_older_value_never_replaces_a_correction(clinic: Clinic) -> None:
    clinic.send(oru("4711", "1", at=BEGAN + HOUR, value="8.1", status="C"), oru("4711", "2", value="7.5"))
    clinic.work()
    (row,) = clinic.rows(_store.observation)
    assert (row["value_number"], row["status"]) == (8.1, "corrected")


def test_duplicates_are_taken_once_and_reused_ids_are_kept(clinic: Clinic) -> None:
    first, again, other = clinic.send(oru("4711", "1"), oru("4711", "1"), oru("4711", "1", order="L2"))
    assert again.is_duplicate
    assert again.number == first.number
    assert other.is_reused_id
    assert not other.is_duplicate
    assert clinic.work() == 2
    (again,) = clinic.send(oru("4711", "1"))
    assert again.is_duplicate
    assert clinic.work() == 0
    assert len(clinic.rows(_store.observation)) == 2


def test_message_that_waits_keeps_its_patient_back_and_nobody_else(clinic: Clinic) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"))
    clinic.work()
    clinic.send(
        adt("A03", "4712", "2", at=BEGAN + HOUR, visit="V1"),  # the visit was another patient's
        oru("4712", "3"),
        oru("4711", "4", order="L2"),
    )
    assert clinic.work() == 1
    (held,) = clinic.inbox.open_messages()
    assert (held.state, held.reason, held.behind) == (State.HELD, "other_patient", 1)
    assert clinic.inbox.counts()["waiting"] == 1
    clinic.inbox.dismiss(held.number)
    assert clinic.work() == 1
    assert {row["pseudonym"] for row in clinic.rows(_store.observation)} == {
        clinic.names.pseudonym(PatientId(number)) for number in ("4711", "4712")
    }


def test_what_was_stored_but_not_marked_changes_nothing_the_second_time(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.send(
        *course(), oru("4711", "7", visit="V1"), adt("A40", "4712", "8", merged="4711"), oru("4711", "9")
    )

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(clinic.inbox, "finish", killed)
        with pytest.raises(KeyboardInterrupt):
            clinic.work()
    before = clinic.rows(_store.resource)
    assert len(before) == 3
    clinic.inbox.close()
    clinic.open()
    assert clinic.work() == 8
    assert clinic.work() == 0
    assert len(clinic.rows(_store.resource)) == 4
    assert {row["pseudonym"] for row in clinic.rows(_store.resource)} == {
        clinic.names.pseudonym(PatientId("4712"))
    }


def test_one_message_that_meets_a_defect_stops_no_other(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> str:
        raise RuntimeError("of Frau Müller")

    clinic.send(adt("A08", "4711", "1", visit="V1"), oru("4712", "2"))
    with monkeypatch.context() as patch:
        patch.setattr("racoon.node.clinical.hl7.mapping._Maker.encounter", broken)
        assert clinic.work() == 1
    (held,) = clinic.inbox.open_messages()
    assert held.reason == "defect"
    _, data = clinic.inbox.load_open(held.number)
    assert data.startswith(b"MSH")


def test_faulty_day_loses_nothing_and_doubles_nothing(clinic: Clinic) -> None:
    stream = faulty_stream(1, 400, 30)
    messages = [item.block[1:-2] for item in stream if item.code == "AA"]
    unique = len({receipt.number for receipt in clinic.send(*messages)})
    assert unique == len(set(messages)) < len(messages)
    assert clinic.work() == unique
    found = found_course(clinic.database, clinic.names, 30)
    assert found == expected_course(stream)
    assert [len(part) > 10 for part in found] == [True] * 3


def test_diagnoses_of_a_visit_are_taken_once_and_set_right(clinic: Clinic) -> None:
    def with_diagnoses(control_id: str, hours: int, *lines: str) -> bytes:
        message = adt("A08", "4711", control_id, at=BEGAN + hours * HOUR, visit="V1")
        return message.rstrip(b"\r") + b"\r" + "\r".join(lines).encode() + b"\r"

    first = "DG1|1||C34.1^Lungenkrebs bei Frau Müller^I10-2024||20240301|A"
    clinic.send(
        with_diagnoses("1", 0, first, "DG1|2|ICD10|J44.0||20240302|W"),
        with_diagnoses("2", 1, first.replace("|A", "|F"), "DG1|2|ICD10|J44.0||20240302|W" + "|" * 15 + "D"),
    )
    assert clinic.work() == 2
    rows = {row["code"]: row for row in clinic.rows(_store.condition)}
    assert {code: row["verification_status"] for code, row in rows.items()} == {
        "C34.1": "confirmed",
        "J44.0": "entered-in-error",
    }
    assert {row["system"] for row in rows.values()} == {"http://fhir.de/CodeSystem/bfarm/icd-10-gm"}
    day = date(2024, 3, 1) + timedelta(days=clinic.shift("4711"))
    assert rows["C34.1"]["recorded"][:10] == day.isoformat()
    assert "Müller" not in str(clinic.contents("Condition"))


def test_a_bound_is_told_from_a_value_in_the_table(clinic: Clinic) -> None:
    clinic.send(oru("4711", "1", extra=["OBX|3|SN|2345-7^Glukose^LN||<^5|mg/dL|<100|N|||F"]))
    clinic.work()
    rows = {row["code"]: row["value_comparator"] for row in clinic.rows(_store.observation)}
    assert rows == {"718-7": "", "2345-7": "<"}
