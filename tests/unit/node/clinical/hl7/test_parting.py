"""A merge that is taken back (A37): what is known to be the old number's goes back, and nothing else does."""

from __future__ import annotations

from copy import deepcopy
from datetime import date, timedelta
from typing import Any

import pytest

from racoon.domain.identity import PatientId
from racoon.node.clinical import _between, _origins, _store, service
from racoon.node.clinical import _merge_store as merges
from racoon.node.clinical.hl7.merging import joined
from racoon.node.clinical.import_report import ImportReport
from racoon.node.clinical.matching import stopped, undecided
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.standards.fhir.reading import Found
from tests.hl7_messages import BEGAN, adt, oru, unlink
from tests.unit.node.clinical.hl7.conftest import Clinic
from tests.unit.node.clinical.hl7.test_merging import merge, own
from tests.unit.node.clinical.test_importing import condition, patient

HOUR = timedelta(hours=1)


def owners(clinic: Clinic) -> dict[str, str]:
    """Of visits and values, whose they are: by the start of a visit and the number of a value."""
    visits = {f"{row['start'][11:16]}": row["pseudonym"] for row in clinic.rows(_store.encounter)}
    values = {str(row["value_number"]): row["pseudonym"] for row in clinic.rows(_store.observation)}
    return visits | values


def test_rows_of_the_old_number_go_back_with_their_dates(clinic: Clinic) -> None:
    old, surviving = own(clinic, "4711"), own(clinic, "4712")
    clinic.send(adt("A01", "4711", "1", visit="V1"), adt("A01", "4712", "2", at=BEGAN + HOUR, visit="V2"))
    clinic.send(merge("4711", "4712"))
    # Under the old number, while it leads to the other one; and under the surviving one: that stays there.
    clinic.send(oru("4711", "3", order="L3", value="3"), oru("4712", "4", order="L4", value="4"))
    assert clinic.work() == 5
    assert set(owners(clinic).values()) == {surviving}
    clinic.send(unlink("4712", "4711", "5", at=BEGAN + 4 * HOUR), oru("4711", "6", order="L6", value="6"))
    assert clinic.work() == 2
    assert owners(clinic) == {"08:00": old, "09:00": surviving, "3.0": old, "4.0": surviving, "6.0": old}
    days = {row["pseudonym"]: row["start"][:10] for row in clinic.rows(_store.encounter)}
    assert days == {
        own(clinic, number): (date(2024, 3, 1) + timedelta(days=clinic.shift(number))).isoformat()
        for number in ("4711", "4712")
    }
    people = {row["pseudonym"]: row["birth_year"] for row in clinic.rows(_store.subject)}
    assert people == {surviving: "1961", old: "1948"}, "both are told by the message itself"
    assert clinic.rows(_origins.origin) == []
    with clinic.database.connect() as connection:
        assert joined(connection, old) == set()
        assert [(item.old, item.moved) for item in merges.load_partings(connection)] == [(old, 2)]
    assert clinic.names.survivor(PatientId("4711")) == "4711"


def test_taking_back_is_done_once_however_often_it_is_told_or_cut_off(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), merge("4711", "4712"))
    clinic.work()
    clinic.send(unlink("4711", "4712", "u1"), unlink("4711", "4712", "u2", at=BEGAN + HOUR))

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for target, name in ((merges, "record_parting"), (clinic.inbox, "finish")):
        with monkeypatch.context() as patch:
            patch.setattr(target, name, killed)
            with pytest.raises(KeyboardInterrupt):
                clinic.work()
    assert clinic.work() == 2
    assert set(owners(clinic).values()) == {own(clinic, "4711")}
    with clinic.database.connect() as connection:
        assert len(merges.load_partings(connection)) == 1


def test_only_the_pair_that_is_named_parts_in_a_chain(clinic: Clinic) -> None:
    clinic.send(*(adt("A01", number, number, visit=f"V{number}") for number in "ABC"))
    clinic.send(merge("A", "B", "m1"), merge("B", "C", "m2"))
    clinic.work()
    clinic.send(unlink("B", "C", "u1"))
    clinic.work()
    found = sorted(row["pseudonym"] for row in clinic.rows(_store.encounter))
    assert found == sorted([own(clinic, "B"), own(clinic, "B"), own(clinic, "C")]), "A is still B"
    clinic.send(merge("B", "C", "m3"), unlink("A", "C", "u2"))
    clinic.work()
    (held,) = clinic.inbox.open_messages()
    assert held.reason == "merged_through"


def test_another_process_sees_that_a_merge_was_taken_back(
    clinic: Clinic, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racoon.node.pseudonyms.service.LOOK_FOR_MERGES_S", 0.0)
    other = Pseudonymiser(
        clinic.folder / "names" / "master.key", f"sqlite:///{clinic.folder}/names/names.sqlite"
    )
    clinic.send(merge("4711", "4712"))
    clinic.work()
    assert other.survivor(PatientId("4711")) == "4712"
    # One gone and one new: the number of merges is the same as before.
    clinic.send(unlink("4711", "4712", "u"), merge("1", "2", "m"))
    clinic.work()
    assert [other.survivor(PatientId(number)) for number in ("4711", "1")] == ["4711", "2"]
    other.close()


def test_numbers_that_never_were_one_change_nothing(clinic: Clinic) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"), unlink("4711", "4712", "u"))
    assert clinic.work() == 2
    (alone,) = clinic.send(adt("A37", "4711", "9"))
    assert alone.reason == "no_pair"


def imported(clinic: Clinic, *resources: dict[str, Any]) -> ImportReport:
    found = clinic.importer.import_resources(lambda: (Found("test", deepcopy(item)) for item in resources))
    assert found.refused == 0
    return found


def diagnoses(clinic: Clinic) -> dict[str, tuple[str, str]]:
    """Return whose each diagnosis is, by its code, with its day."""
    return {row["code"]: (row["pseudonym"], row["recorded"]) for row in clinic.rows(_store.condition)}


def coded(identity: str, subject: str, code: str) -> dict[str, Any]:
    made = condition(identity, subject)
    made["code"]["coding"][0]["code"] = code
    return made


def shifted(clinic: Clinic, number: str) -> str:
    return (date(2024, 3, 1) + timedelta(days=clinic.shift(number))).isoformat()


def test_rows_of_files_that_came_in_between_go_where_their_source_says(clinic: Clinic) -> None:
    """The record of the old number is still told apart at the source; the other one's may hold either's."""
    old, surviving = own(clinic, "4711"), own(clinic, "4712")
    people = patient("p1", "4711"), patient("p2", "4712")
    imported(clinic, *people, coded("c1", "p1", "C34.1"), coded("c2", "p2", "C34.2"))
    clinic.send(merge("4711", "4712"))
    clinic.work()
    imported(clinic, *people, coded("c3", "p1", "C34.3"), coded("c4", "p2", "C34.4"))
    assert {owner for owner, _ in diagnoses(clinic).values()} == {surviving}
    clinic.send(unlink("4712", "4711", "5", at=BEGAN + 4 * HOUR))
    clinic.work()
    assert diagnoses(clinic) == {
        "C34.1": (old, shifted(clinic, "4711")),
        "C34.2": (surviving, shifted(clinic, "4712")),
        "C34.3": (old, shifted(clinic, "4711")),
        "C34.4": (surviving, shifted(clinic, "4712")),
    }
    again = imported(clinic, *people, coded("c3", "p1", "C34.3"), coded("c4", "p2", "C34.4"))
    assert again.stored <= 2, "at most the two people are told again"
    with clinic.database.connect() as connection:
        (waiting,) = undecided(connection)
        assert (waiting["kind"], waiting["code"], waiting["day"]) == (
            "Condition",
            "C34.4",
            shifted(clinic, "4712"),
        )
        assert (waiting["here"], waiting["other"]) == (surviving, old)
        assert stopped(connection, [old, surviving]) == {surviving}
    person = {"actor": "diz", "actor_role": "diz"}
    assert clinic.merger.settle([waiting["key"]], goes=True, **person) == 1
    assert clinic.merger.settle([waiting["key"]], goes=False, **person) == 0
    assert diagnoses(clinic)["C34.4"] == (old, shifted(clinic, "4711"))
    with clinic.database.connect() as connection:
        assert undecided(connection) == []
        assert stopped(connection, [old, surviving]) == set()
        settled = connection.exec_driver_sql(
            "SELECT details FROM audit WHERE action = 'clinical.part.settle'"
        )
        assert len(settled.all()) == 1


def test_what_stays_is_no_more_listed_and_a_new_merge_takes_the_list_back(clinic: Clinic) -> None:
    people = patient("p1", "4711"), patient("p2", "4712")
    imported(clinic, *people)
    clinic.send(merge("4711", "4712"))
    clinic.work()
    imported(clinic, coded("c4", "p2", "C34.4"), coded("c5", "p2", "C34.5"))
    clinic.send(unlink("4712", "4711", "5", at=BEGAN + 4 * HOUR))
    clinic.work()
    with clinic.database.connect() as connection:
        first, second = undecided(connection)
    clinic.merger.settle([first["key"]], goes=False, actor="diz", actor_role="diz")
    clinic.send(merge("4711", "4712", "m2"))
    clinic.work()
    with clinic.database.connect() as connection:
        assert undecided(connection) == []
    clinic.send(unlink("4712", "4711", "6", at=BEGAN + 6 * HOUR))
    clinic.work()
    with clinic.database.connect() as connection:
        assert [item["key"] for item in undecided(connection)] == [second["key"]]
    assert clinic.rows(_between.between)[0]["old_pseudonym"] == own(clinic, "4711")
    with clinic.database.begin() as connection:
        service.forget_subject(connection, own(clinic, "4711"))
    assert clinic.rows(_between.between) == []
