"""The routes of intake: rights, today's flow, the quarantine."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.intake.http import router
from racoon.platform.auth import install_accounts
from racoon.platform.http import create_app
from tests.planted_identifiers import make_ct
from tests.unit.node.intake.conftest import Node

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}


@pytest.fixture
def sign_in(node: Node) -> Any:
    app = create_app("node", "1")
    accounts = install_accounts(app, "node", node.database)
    accounts.create(node.database, "anna", PASSWORD, [Role.DATA_MANAGER], "ALPHA")
    accounts.create(node.database, "doris", PASSWORD, [Role.DPO], "ALPHA")
    accounts.create(node.database, "rita", PASSWORD, [Role.READER], "ALPHA")
    app.state.intake = node.intake
    app.include_router(router)

    def client(name: str) -> TestClient:
        session = accounts.open_session(node.database, accounts.verify(node.database, name, PASSWORD))
        return TestClient(app, headers={"authorization": f"Bearer {session.token}", **ORIGIN})

    return client


def test_status_and_quarantine(node: Node, sign_in: Any) -> None:
    for data in (make_ct(1, planted=False).data, b"rubbish"):
        node.spool.put([data])
    node.loop().run_once()
    node.spool.put([b"waiting"])
    anna = sign_in("anna")
    status = anna.get("/api/intake/status").json()
    assert (status["waiting"], status["in_quarantine"]) == (1, 1)
    (day,) = status["days"]
    assert {key: day[key] for key in ("received", "archived", "duplicates", "quarantined")} == {
        "received": 2, "archived": 1, "duplicates": 0, "quarantined": 1,
    }  # fmt: skip
    (item,) = anna.get("/api/intake/quarantine").json()
    assert (item["code"], item["reason"]) == ("not_dicom", "This is not a DICOM file.")
    path = f"/api/intake/quarantine/{item['quarantine_id']}/decision"
    assert sign_in("doris").post(path, json={"decision": "delete"}).status_code == 403
    decided = anna.post(path, json={"decision": "delete", "note": "a test"})
    assert (decided.status_code, decided.json()["state"], decided.json()["decided_by"]) == (
        200,
        "deleted",
        "anna",
    )
    assert anna.post(path, json={"decision": "delete"}).status_code == 409
    assert anna.get("/api/intake/quarantine").json() == []


def test_others_see_nothing(node: Node, sign_in: Any) -> None:
    rita = sign_in("rita")
    for path in ("/api/intake/status", "/api/intake/quarantine"):
        assert rita.get(path).status_code == 403
    assert sign_in("doris").get("/api/intake/status").status_code == 200


@pytest.mark.parametrize("body", [{"decision": "burn"}, {}, {"decision": "delete", "more": 1}])
def test_malformed_decision(node: Node, sign_in: Any, body: dict[str, object]) -> None:
    assert sign_in("anna").post("/api/intake/quarantine/x/decision", json=body).status_code == 422


def test_unknown_object(node: Node, sign_in: Any) -> None:
    assert (
        sign_in("anna").post("/api/intake/quarantine/x/decision", json={"decision": "delete"}).status_code
        == 404
    )
