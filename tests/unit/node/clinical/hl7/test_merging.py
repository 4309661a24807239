"""Merges: rows move with their dates, later data follow, contradictions wait for a person, images are only listed."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.clinical import _store
from racoon.node.clinical.hl7.desk import MessageDesk
from racoon.node.cohorts._store import clinical_fact
from racoon.node.consent.model import Item
from racoon.node.consent.real_days import RealDays
from racoon.platform.audit import AuditLog
from racoon.standards.hl7v2.mllp import Block
from tests.hl7_messages import BEGAN, adt, oru
from tests.unit.node.clinical.hl7.conftest import SENDERS, Clinic

HOUR = timedelta(hours=1)


def own(clinic: Clinic, number: str) -> Pseudonym:
    return clinic.names.pseudonym(PatientId(number), is_merged=False)


def subjects(clinic: Clinic, table: sa.Table) -> set[str]:
    return {row["pseudonym"] for row in clinic.rows(table)}


def merge(old: str, surviving: str, control_id: str = "m") -> bytes:
    return adt("A40", surviving, control_id, at=BEGAN + HOUR, merged=old)


def test_rows_of_the_old_number_move_with_their_dates(clinic: Clinic) -> None:
    clinic.send(
        adt("A01", "4711", "1", visit="V1"), adt("A01", "4712", "2", visit="V2"), oru("4711", "3", visit="V1")
    )
    clinic.work()
    clinic.send(merge("4711", "4712"))
    assert clinic.work() == 1
    assert subjects(clinic, _store.resource) == {own(clinic, "4712")}
    assert len(clinic.rows(_store.subject)) == 1, "two records of one person are one"
    day = (date(2024, 3, 1) + timedelta(days=clinic.shift("4712"))).isoformat()
    assert {row["start"][:10] for row in clinic.rows(_store.encounter)} == {day}
    assert [row["effective"][:10] for row in clinic.rows(_store.observation)] == [day]
    contents = str(clinic.rows(_store.resource))
    assert own(clinic, "4711") not in contents
    with clinic.database.connect() as connection:
        assert {row.pseudonym for row in connection.execute(sa.select(clinical_fact))} == {
            own(clinic, "4712")
        }


def test_later_messages_with_the_old_number_follow(clinic: Clinic) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), merge("4711", "4712"))
    clinic.send(oru("4711", "3"), adt("A03", "4711", "4", at=BEGAN + 3 * HOUR, visit="V1"))
    assert clinic.work() == 4
    assert subjects(clinic, _store.resource) == {own(clinic, "4712")}
    (visit,) = clinic.rows(_store.encounter)
    assert visit["status"] == "finished"


def test_images_with_the_old_number_follow_and_older_ones_keep_their_days(clinic: Clinic) -> None:
    before = clinic.names.date_shift_days(PatientId("4711"))
    clinic.send(merge("4711", "4712"))
    clinic.work()
    assert clinic.names.pseudonym(PatientId("4711")) == own(clinic, "4712")
    assert clinic.names.date_shift_days(PatientId("4711")) == clinic.shift("4712")
    shifted = date(2024, 3, 1) + timedelta(days=before)
    item = Item("1.2", own(clinic, "4711"), shifted.strftime("%Y%m%d"))
    assert RealDays(clinic.names, 14).acquired(item) == date(2024, 3, 1)


def test_merge_before_either_is_known(clinic: Clinic) -> None:
    clinic.send(merge("4711", "4712"), adt("A01", "4711", "1", visit="V1"))
    assert clinic.work() == 2
    assert subjects(clinic, _store.resource) == {own(clinic, "4712")}


def test_chain_leads_to_its_end_and_a_circle_to_one_patient(clinic: Clinic) -> None:
    for number in ("A", "B", "C"):
        clinic.send(adt("A01", number, number, visit=f"V{number}"))
    clinic.send(merge("A", "B", "m1"), merge("B", "C", "m2"), merge("C", "A", "m3"), oru("A", "9"))
    assert clinic.work() == 7
    assert subjects(clinic, _store.resource) == {own(clinic, "C")}
    day = (date(2024, 3, 1) + timedelta(days=clinic.shift("C"))).isoformat()
    assert {row["start"][:10] for row in clinic.rows(_store.encounter)} == {day}
    assert [
        (item.old, item.surviving) for item in sorted(clinic.merger.merges(), key=lambda item: item.rows)
    ] == [
        (own(clinic, "A"), own(clinic, "C")),
        (own(clinic, "B"), own(clinic, "C")),
    ]


def test_second_survivor_waits_for_a_person(clinic: Clinic) -> None:
    clinic.send(
        merge("4711", "4712"), merge("4711", "4713", "m2"), oru("4711", "3"), oru("4713", "4"), oru("9", "5")
    )
    assert clinic.work() == 2
    (held,) = clinic.inbox.open_messages()
    assert (held.reason, held.kind, held.behind) == ("merged_elsewhere", "ADT^A40", 1)
    assert subjects(clinic, _store.observation) == {own(clinic, "9")}


def test_merge_that_was_cut_off_is_done_once(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), adt("A01", "4712", "2", visit="V2"))
    clinic.work()
    clinic.send(merge("4711", "4712"))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for place in ("names.merge", "inbox.finish"):
        target, _, name = place.partition(".")
        with monkeypatch.context() as patch:
            patch.setattr(getattr(clinic, target), name, killed)
            with pytest.raises(KeyboardInterrupt):
                clinic.work()
    assert clinic.work() == 1
    day = (date(2024, 3, 1) + timedelta(days=clinic.shift("4712"))).isoformat()
    assert {row["start"][:10] for row in clinic.rows(_store.encounter)} == {day}
    (found,) = clinic.merger.merges()
    assert found.rows == 2


def test_rows_that_another_process_files_late_are_moved(clinic: Clinic) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), adt("A01", "4712", "2", visit="V2"))
    clinic.work()
    late = clinic.rows(_store.resource)
    clinic.send(merge("4711", "4712"))
    clinic.work()
    with clinic.database.begin() as connection:
        for row in late:
            if row["pseudonym"] == own(clinic, "4711") and row["kind"] == "Encounter":
                connection.execute(sa.delete(_store.resource).where(_store.resource.c.key == row["key"]))
                connection.execute(sa.insert(_store.resource).values(row))
    assert clinic.merger.sweep() == 1
    assert subjects(clinic, _store.resource) == {own(clinic, "4712")}
    day = (date(2024, 3, 1) + timedelta(days=clinic.shift("4712"))).isoformat()
    assert {row["start"][:10] for row in clinic.rows(_store.encounter)} == {day}


def test_merge_waits_where_only_one_of_the_two_withdrew(clinic: Clinic) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), adt("A01", "4712", "2", visit="V2"))
    clinic.work()
    left = {own(clinic, "4711"): frozenset({"*"})}
    clinic.merger._withdrawn = lambda name: left.get(name, frozenset())
    clinic.send(merge("4711", "4712"))
    assert clinic.work() == 0
    (held,) = clinic.inbox.open_messages()
    assert held.reason == "withdrawn"
    assert subjects(clinic, _store.encounter) == {own(clinic, "4711"), own(clinic, "4712")}
    left[own(clinic, "4712")] = frozenset({"*"})
    _, data = clinic.inbox.load_open(held.number)
    clinic.inbox.try_again(held.number, clinic.door.judge(Block("message", data), SENDERS))
    assert clinic.work() == 1
    assert subjects(clinic, _store.encounter) == {own(clinic, "4712")}


def test_images_under_the_old_pseudonym_are_a_task(clinic: Clinic) -> None:
    clinic.send(merge("4711", "4712"), merge("1", "2", "m2"))
    clinic.work()
    held = {own(clinic, "4711"): 3}
    desk = MessageDesk(
        clinic.inbox,
        clinic.door,
        SENDERS,
        clinic.database,
        AuditLog("node"),
        lambda name: held.get(Pseudonym(name), 0),
    )
    (task,) = desk.merges()
    assert (task.old, task.surviving, task.imaging_studies) == (own(clinic, "4711"), own(clinic, "4712"), 3)
