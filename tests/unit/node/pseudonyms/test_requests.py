"""Who a subject is: asked with a reason, agreed to by another person, shown to who asked, audited, never stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import PatientId, Role
from racoon.node.app.rooms import open_pseudonyms
from racoon.node.pseudonyms import requests
from racoon.platform import clock
from tests.node_rooms import PASSWORD, NodeInProcess

PATIENT = "PLANTED-4711"
REASON = "incidental finding, the clinic has to be told"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeInProcess]:
    node = NodeInProcess(tmp_path_factory.mktemp("node"))
    yield node
    node.close()


@dataclass(frozen=True)
class Later:
    """The clock of the requests alone: sessions must not run out with it."""

    by: timedelta

    def now(self) -> datetime:
        return clock.now() + self.by


def signed_in(node: NodeInProcess, name: str, *roles: Role) -> TestClient:
    accounts, database = node.app.state.accounts, node.rooms.database
    user = accounts.create(database, name, PASSWORD, list(roles))
    client = TestClient(node.app, base_url="http://127.0.0.1:8600", follow_redirects=True)
    client.headers["authorization"] = f"Bearer {accounts.open_session(database, user).token}"
    return client


def remembered(node: NodeInProcess) -> str:
    names = open_pseudonyms(node.rooms.settings)
    pseudonym = names.pseudonym(PatientId(PATIENT))
    names.close()
    return str(pseudonym)


def newest(node: NodeInProcess) -> str:
    return str(node.app.state.reidentifications.newest(1)[0].request_id)


def test_two_people_are_told_and_everything_is_audited(
    node: NodeInProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    reason = f"{REASON}: nodule"
    anna, bernd = signed_in(node, "anna", Role.DPO), signed_in(node, "bernd", Role.DIZ)
    carl = signed_in(node, "carl", Role.DIZ)
    page = anna.post("/reidentifications", data={"pseudonym": remembered(node), "reason": reason})
    assert page.status_code == 200
    address = f"/reidentifications/{newest(node)}"
    early = anna.post(f"{address}/answer")
    assert early.status_code == 400
    assert "Nobody has agreed" in early.text
    alone = anna.post(f"{address}/decision", data={"agree": "true"})
    assert "second person" in alone.text
    assert bernd.post(f"{address}/decision", data={"agree": "true"}).status_code == 200
    for other in (bernd, carl):
        assert PATIENT not in other.post(f"{address}/answer").text
    shown = anna.post(f"{address}/answer")
    assert PATIENT in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert PATIENT not in anna.get("/reidentifications").text
    for entry in ("subject.reidentify.ask", "subject.reidentify.agree", "subject.reidentify"):
        with node.rooms.database.connect() as connection:
            found = connection.exec_driver_sql(
                "SELECT count(*) FROM audit WHERE action = ? AND purpose = ?", (entry, reason)
            )
            assert found.scalar() == 1, entry
    monkeypatch.setattr(requests, "clock", Later(timedelta(hours=25)))
    later = anna.post(f"{address}/answer")
    assert later.status_code == 400
    assert PATIENT not in later.text
    everything = b"".join(path.read_bytes() for path in Path(node.folder).rglob("*") if path.is_file())
    assert PATIENT.encode() not in everything


def test_what_is_not_asked_properly_is_not_asked(node: NodeInProcess) -> None:
    dora = signed_in(node, "dora", Role.DPO)
    pseudonym = remembered(node)
    mistyped = pseudonym[:-1] + ("A" if pseudonym[-1] != "A" else "B")
    for data, words in (
        ({"pseudonym": mistyped, "reason": REASON}, "check character"),
        ({"pseudonym": pseudonym, "reason": "curious"}, "reason in plain words"),
    ):
        answer = dora.post("/reidentifications", data=data)
        assert answer.status_code == 400
        assert words in answer.text


def test_a_refused_or_old_request_stays_closed(node: NodeInProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    emil, frida = signed_in(node, "emil", Role.DPO), signed_in(node, "frida", Role.DIZ)
    ask = {"pseudonym": remembered(node), "reason": REASON}
    emil.post("/reidentifications", data=ask)
    refused = f"/reidentifications/{newest(node)}"
    frida.post(f"{refused}/decision", data={"agree": "false"})
    assert frida.post(f"{refused}/decision", data={"agree": "true"}).status_code == 400
    assert PATIENT not in emil.post(f"{refused}/answer").text
    emil.post("/reidentifications", data=ask)
    old = f"/reidentifications/{newest(node)}"
    monkeypatch.setattr(requests, "clock", Later(timedelta(days=8)))
    assert frida.post(f"{old}/decision", data={"agree": "true"}).status_code == 400
