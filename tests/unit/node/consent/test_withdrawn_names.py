"""Names kept sealed to compare doubtful numbers (``trust.identity.compare_names``) go with a withdrawal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from racoon.domain.identity import PatientId
from racoon.node.clinical.reviewing import look_for_doubts
from racoon.node.pseudonyms.cards import Card
from racoon.science.linkage.filters import Person
from tests.node_rooms import NodeInProcess

STAYS, GOES = "4711", "4712"
ANNA = Person("Änne", "Müller", born="1961-05-17", sex="female", postcode="50667")
TWIN = Person("Anne", "Müller", born="1961-05-17", sex="female", postcode="50667")


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path, more="[trust.identity]\ncompare_names = true")
    found.rely_on()
    found.rely_on("liver")
    for number, person in ((STAYS, ANNA), (GOES, TWIN)):
        found.store(int(number) % 10, number)
        found.names.introduce(Card("images", number, person))
        found.names.introduce(Card("messages", number, person))
    yield found
    found.close()


def described(node: NodeInProcess) -> list[bool]:
    assert node.names.cards is not None
    return [node.names.cards.holds(PatientId(number)) for number in (STAYS, GOES)]


def test_sealed_names_are_erased_and_the_proof_says_how_many(node: NodeInProcess) -> None:
    assert look_for_doubts(node.rooms.database, node.names) == 4, "each source of one with each of the other"
    assert described(node) == [True, True]
    subject = node.subject(GOES)
    node.withdraw(subject)
    assert node.settlement.settle() == 1
    assert described(node) == [True, False]
    with node.rooms.database.connect() as connection:
        (withdrawal,) = node.consent.withdrawals(connection)
    assert withdrawal.proof["descriptions"] == 2
    # Whoever looked for doubts finds none any more, and the page still answers.
    assert look_for_doubts(node.rooms.database, node.names) == 0
    page = node.person("diz", "uac_member").get("/intake/matching")
    assert page.status_code == 200
    assert str(subject) not in page.text


def test_who_leaves_one_study_is_still_compared(node: NodeInProcess) -> None:
    node.withdraw(node.subject(GOES), "liver")
    node.settlement.settle()
    assert described(node) == [True, True]


def test_names_that_come_after_the_withdrawal_go_too(node: NodeInProcess) -> None:
    node.withdraw(node.subject(GOES))
    node.settlement.settle()
    node.names.introduce(Card("messages", GOES, Person("Anne", "Meier", born="1961-05-17", sex="female")))
    assert described(node) == [True, True]
    assert node.settlement.settle() == 1
    assert described(node) == [True, False]
    assert node.settlement.settle() == 0
