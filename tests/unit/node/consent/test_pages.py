"""The page of consent and legal basis: recorded, taken back, withdrawn and looked up by people, each by right."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from racoon.domain.consent import ARCHIVE
from racoon.node.consent import _store, looking
from racoon.platform import clock
from tests.node_rooms import NodeInProcess

GERMAN = {"accept-language": "de"}
BASIS = {
    "study_id": ARCHIVE,
    "kind": "hospital_law",
    "document": "state hospital act, section 6",
    "scope": "CT and MR of the department",
    "approved_by": "A. Amt",
    "valid_until": "2999-12-31",
}


@pytest.fixture
def node(tmp_path: Path) -> Iterator[NodeInProcess]:
    found = NodeInProcess(tmp_path)
    yield found
    found.close()


def test_a_legal_basis_is_recorded_and_taken_back_by_who_may(node: NodeInProcess) -> None:
    steward, informatician = node.person("diz"), node.person("site_informatician")
    assert informatician.post("/consent/bases", data=BASIS).status_code == 403
    assert "/consent/bases" not in informatician.get("/consent").text
    subject = node.store(1, "4711")
    assert not node.consent.is_readable(subject)
    page = steward.post("/consent/bases", data=BASIS)
    assert page.status_code == 200
    assert "state hospital act, section 6" in page.text
    assert node.consent.is_readable(subject)
    with node.rooms.database.connect() as connection:
        (basis,) = node.consent.bases(connection)
    page = steward.post(f"/consent/bases/{basis.basis_id}/end", headers=GERMAN)
    assert "zurückgenommen" in page.text
    assert not node.consent.is_readable(subject)
    assert steward.post(f"/consent/bases/{basis.basis_id}/end").status_code == 404


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"kind": "because"}, "Wählen Sie, worauf sich der Standort stützt."),
        ({"scope": " "}, "Eine Rechtsgrundlage braucht die Angabe Umfang"),
        ({"valid_until": "tomorrow"}, "valid_until ist kein Tag"),
        ({"valid_from": "3000-01-01"}, "endet, bevor sie beginnt"),
        ({"study_id": "../x"}, "Nennen Sie die Studie"),
    ],
)
def test_a_wrong_basis_is_said_in_words_and_what_was_typed_stays(
    wrong: dict[str, str], said: str, node: NodeInProcess
) -> None:
    page = node.person("diz").post("/consent/bases", data=BASIS | wrong, headers=GERMAN)
    assert page.status_code == 422
    assert said in page.text
    assert "state hospital act, section 6" in page.text
    with node.rooms.database.connect() as connection:
        assert node.consent.bases(connection) == []


def test_a_withdrawal_by_the_page_holds_at_once(node: NodeInProcess) -> None:
    officer = node.person("dpo")
    officer.post("/consent/bases", data=BASIS)
    subject = node.store(1, "4711")
    said = {"pseudonym": subject, "reason": "letter of today"}
    assert (
        "lässt sich hier nicht zurücknehmen"
        in officer.post("/consent/withdrawals", data=said, headers=GERMAN).text
    )
    mistyped = said | {"pseudonym": subject[:-1] + ("7" if subject[-1] != "7" else "8"), "sure": "yes"}
    refused = officer.post("/consent/withdrawals", data=mistyped)
    assert refused.status_code == 404
    assert "no pseudonym of this node" in refused.text
    assert node.consent.is_readable(subject)
    page = officer.post("/consent/withdrawals", data=said | {"sure": "yes"}, headers=GERMAN)
    assert "gilt, wird gelöscht" in page.text
    assert "niemand hatte eine Kopie" in page.text
    assert not node.consent.is_readable(subject)
    assert officer.post("/consent/withdrawals", data=said | {"sure": "yes"}).status_code == 404
    node.settlement.settle()
    page = officer.get("/consent")
    assert "erased, with proof" in page.text
    with node.rooms.database.connect() as connection:
        (withdrawal,) = node.consent.withdrawals(connection)
    assert len(withdrawal.proof_hash) == 64
    assert withdrawal.proof_hash in page.text


def test_a_look_at_one_subject_is_in_the_audit(node: NodeInProcess) -> None:
    officer = node.person("dpo")
    subject = node.subject("4711")
    assert officer.get("/consent", params={"subject": subject}).status_code == 404
    officer.post("/consent/withdrawals", data={"pseudonym": subject, "reason": "letter", "sure": "yes"})
    assert officer.get("/consent", params={"subject": subject}).status_code == 200
    assert officer.get(f"/api/consent/subjects/{subject}").status_code == 200
    with node.rooms.database.connect() as connection:
        looks = node.rooms.audit.entries(connection, action="consent.look")
    assert [entry.target for entry in looks] == [f"subject/{subject}"] * 2


def test_a_recipient_that_stays_silent_is_named_on_both_pages(node: NodeInProcess) -> None:
    officer = node.person("dpo")
    subject = node.subject("4711")
    officer.post("/consent/withdrawals", data={"pseudonym": subject, "reason": "letter", "sure": "yes"})
    with node.rooms.database.begin() as connection:
        now = clock.now()
        connection.execute(
            sa.insert(_store.tombstone).values(
                tombstone_id="t1",
                withdrawal_number=1,
                recipient="POOL",
                study_id="S1",
                study_pseudonym="x",
                run_ids=[],
                created_at=now,
                sent_at=now,
                attempts=3,
                escalated_at=now,
            )
        )
    with node.rooms.database.connect() as connection:
        status = looking.status(connection, clock.now())
    assert (status.unacknowledged, status.overdue, status.not_erased) == (1, ("POOL",), 1)
    said = "POOL hat einen Widerruf nicht innerhalb von vierzehn Tagen bestätigt"
    assert said in officer.get("/consent", headers=GERMAN).text
    assert said in officer.get("/", headers=GERMAN).text
    assert said not in node.person("reader").get("/", headers=GERMAN).text
