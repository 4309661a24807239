"""A merge that is taken back (A37): what is known to be the old number's goes back, and nothing else does."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from racoon.domain.identity import PatientId
from racoon.node.clinical import _origins, _store
from racoon.node.clinical.hl7 import _store as merges
from racoon.node.clinical.hl7.merging import joined
from racoon.node.pseudonyms.service import Pseudonymiser
from tests.hl7_messages import BEGAN, adt, oru, unlink
from tests.unit.node.clinical.hl7.conftest import Clinic
from tests.unit.node.clinical.hl7.test_merging import merge, own

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
