"""Doubtful identities: found by what is said, decided and undone by a person, never merged silently, nothing named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from racoon.domain.identity import PatientId
from racoon.node.clinical import _store, doubts
from racoon.node.clinical.doubts import NoSuchDoubt, load_doubts, stopped_by_doubt
from racoon.node.clinical.reviewing import CannotDecide, Review, ReviewedIdentities, look_for_doubts
from racoon.node.clinical.trust.identities import EmbeddedIdentities
from racoon.node.pseudonyms.cards import Card
from racoon.platform.audit import AuditLog
from racoon.science.linkage.filters import Person
from racoon.science.linkage.nearness import FAR, NEAR, compare, distance
from tests.hl7_messages import adt
from tests.unit.node.clinical.hl7.conftest import Clinic

ANNE = Person("Änne", "Müller", born="1961-05-17", sex="female", postcode="50667")
WHO = {"actor": "Dr. D", "actor_role": "diz"}


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    found = Clinic(tmp_path)
    found.worker._introduces = True
    yield found
    found.close()


@pytest.fixture
def review(clinic: Clinic) -> Review:
    clinic.names.close = lambda: None  # type: ignore[method-assign]  # the test goes on with the same one
    return Review(clinic.database, AuditLog("node"), lambda: clinic.names, lambda _: clinic.merger)


@pytest.mark.parametrize(
    ("other", "is_near"),
    [
        (Person("Aenne", "Mueller", born="1961-05-17"), True),
        (Person("Änne", "Müler", born="1961-05-17"), True),
        (Person("Anne", "Müller", born="1961-05-71"), True),
        (Person("Änne", "Müller", born="1961-05-18", postcode="10115"), True),
        (Person("Änne Maria", "Schmidt", "Müller", born="1961-05-17", sex="female"), True),
        (Person("Jan", "Müller", born="1961-05-17", sex="male", postcode="50667"), False),
        (Person("Änne", "Müller", born="1984-11-02", sex="female"), False),
        (Person("Änne", "Schulze", born="1961-05-17", sex="female", postcode="50667"), False),
    ],
)
def test_near_descriptions_are_told_from_twins_and_namesakes(other: Person, is_near: bool) -> None:
    near = compare(ANNE, other)
    assert (near.likeness >= NEAR) is is_near
    assert compare(other, ANNE) == near
    found = doubts.judge(Card("images", "1", ANNE), Card("messages", "2", other))
    assert (found is not None) is is_near


def test_two_people_under_one_number_are_doubtful_and_a_marriage_is_not() -> None:
    other = Person("Ole", "Petersen", born="1948-01-02", sex="male")
    married = Person("Änne", "Schmidt", born="1961-05-17", sex="female")
    assert compare(ANNE, other).likeness < FAR
    assert doubts.judge(Card("images", "1", ANNE), Card("messages", "1", other))[0] == "one_number"  # type: ignore[index]  # it is one
    assert doubts.judge(Card("images", "1", ANNE), Card("messages", "1", married)) is None
    assert [distance("ab", "ba"), distance("abc", "adc"), distance("", "ab"), distance("ca", "abc")] == [
        1,
        1,
        2,
        3,
    ]


def two_numbers(clinic: Clinic) -> int:
    """One person was admitted under two numbers; returns the number of the pair."""
    second = adt("A01", "4712", "2", visit="V2").replace("Müller".encode(), b"Muellre")
    clinic.send(adt("A01", "4711", "1", visit="V1"), second)
    assert clinic.work() == 2
    assert look_for_doubts(clinic.database, clinic.names) == 1
    assert look_for_doubts(clinic.database, clinic.names) == 0, "found twice"
    (item,) = listed(clinic)
    assert (item.kind, item.differing) == ("two_numbers", ("family",))
    return item.id


def listed(clinic: Clinic, *states: str) -> list[doubts.Doubt]:
    with clinic.database.connect() as connection:
        return load_doubts(connection, states or doubts.OPEN_STATES)


def people(clinic: Clinic) -> set[str]:
    return {row["pseudonym"] for row in clinic.rows(_store.encounter)}


def test_match_merges_and_undoing_parts_again(clinic: Clinic, review: Review) -> None:
    number = two_numbers(clinic)
    before = people(clinic)
    assert len(before) == 2, "merged before anybody decided"
    _, left, right = review.side_by_side(number, **WHO)
    assert {left.number, right.number} == {"4711", "4712"}
    assert "ller" in left.person.family + right.person.family
    with pytest.raises(CannotDecide):
        review.decide(number, "match", reason="unclear", standing="left", **WHO)
    with pytest.raises(CannotDecide):
        review.decide(number, "match", reason="system", **WHO)
    review.decide(number, "later", reason="unclear", **WHO)
    assert [entry.state for entry in listed(clinic)] == ["later"]
    review.decide(number, "match", reason="system", standing="left", **WHO)
    assert people(clinic) == {str(clinic.names.pseudonym(PatientId(left.number), is_merged=False))}
    assert listed(clinic) == []
    with pytest.raises(NoSuchDoubt):
        review.decide(number, "no_match", reason="system", **WHO)
    review.undo(number, **WHO)
    assert people(clinic) == before
    assert [entry.state for entry in listed(clinic)] == ["open"]
    review.decide(number, "no_match", reason="document", **WHO)
    assert people(clinic) == before
    assert [entry.reason for entry in listed(clinic, "no_match")] == ["document"]
    with clinic.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT action, details FROM audit ORDER BY seq").all()
        whole = str(connection.exec_driver_sql("SELECT * FROM clinical_doubt").all()) + str(rows)
    actions = [row[0] for row in rows if row[0].startswith("clinical.")]
    assert actions == [
        "clinical.doubt.look", "clinical.doubt.decide", "clinical.doubt.decide", "clinical.merge",
        "clinical.part", "clinical.doubt.undo", "clinical.doubt.decide",
    ]  # fmt: skip
    assert not [word for word in ("ller", "llre", "4711", "4712", "1961") if word in whole]


def test_refused_merge_leaves_the_pair_open(clinic: Clinic, review: Review) -> None:
    number = two_numbers(clinic)
    old = clinic.names.pseudonym(PatientId("4712"))
    clinic.merger._withdrawn = lambda name: frozenset({"*"}) if name == old else frozenset()
    with pytest.raises(CannotDecide):
        review.decide(number, "match", reason="system", standing="left", **WHO)
    assert [item.state for item in listed(clinic)] == ["open"]
    assert len(people(clinic)) == 2


def test_two_people_under_one_number_stop_the_case_until_somebody_looked(
    clinic: Clinic, review: Review
) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"))
    clinic.work()
    clinic.names.introduce(Card("images", "4711", Person("Ole", "Petersen", born="1948-01-02")))
    subject = clinic.names.pseudonym(PatientId("4711"))
    assert look_for_doubts(clinic.database, clinic.names) == 1
    (item,) = listed(clinic)

    def is_stopped() -> bool:
        with clinic.database.connect() as connection:
            return stopped_by_doubt(connection, [subject, "R1-OTHER"]) == {subject}

    assert is_stopped()
    review.decide(item.id, "match", reason="asked", **WHO)
    assert not is_stopped()
    # The scanner says something new of the number: what was decided was about something else.
    clinic.names.introduce(Card("images", "4711", Person("Uwe", "Janssen", born="1930-12-30")))
    assert look_for_doubts(clinic.database, clinic.names) == 1
    assert is_stopped()
    clinic.names.cards.forget(PatientId("4711"))  # type: ignore[union-attr]  # a file keeps them
    with pytest.raises(NoSuchDoubt):
        review.side_by_side(listed(clinic)[0].id, **WHO)


def test_record_without_a_number_waits_for_a_person(clinic: Clinic, review: Review) -> None:
    clinic.send(adt("A01", "4711", "1", visit="V1"))
    clinic.work()
    port = ReviewedIdentities(EmbeddedIdentities(), clinic.database, clinic.names)

    def patient(name: str, identity: str) -> dict[str, Any]:
        return {
            "resourceType": "Patient",
            "id": identity,
            "name": [{"family": name, "given": ["Änne"]}],
            "birthDate": "1961-05-17",
        }

    found = port.find([patient("Mueller", "17"), patient("Oberhuber", "18")])
    assert [item.verdict for item in found] == ["possible", "none"]
    (item,) = listed(clinic)
    assert item.kind == "no_number"
    review.decide(item.id, "match", reason="system", **WHO)
    (answer,) = port.find([patient("Mueller", "17")])
    assert (answer.verdict, answer.number) == ("match", "4711")
    review.undo(item.id, **WHO)
    assert port.find([patient("Mueller", "17")])[0].verdict == "possible"
    review.decide(item.id, "no_match", reason="system", **WHO)
    assert port.find([patient("Mueller", "17")])[0].verdict == "none"


def test_what_is_kept_of_a_person_is_sealed(clinic: Clinic) -> None:
    two_numbers(clinic)
    clinic.names.close()
    found = b"".join(path.read_bytes() for path in sorted((clinic.folder / "names").iterdir()))
    assert b"identity_card" in found
    assert not [
        word for word in ("Müller", "Muellre", "muller", "1961", "Gärtner", "50667") if word.encode() in found
    ]
