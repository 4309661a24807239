"""Schemathesis makes requests from the OpenAPI documents of both roles: no route breaks, every refusal is a problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.platform.auth import AccountStore
from racoon.platform.database import Database
from tests.node_rooms import NodeInProcess
from tests.simulated_network import DEFINITION, Network

PASSWORD = "a long enough password"

IN_FULL = bool(os.environ.get("RACOON_ACCEPTANCE"))
EXAMPLES = 100 if IN_FULL else 1
"""Requests for each route."""

NOT_ASKED = ("/api/session", "/dicom-web", "/events")
"""Signing out would end the test; DICOMweb has a test of its own; a stream does not end."""

KNOWN = {"study_id": "RS-0001", "code": "ALPHA", "number": 1}
"""What is there: invented names end at once, with these a request gets further."""

PROBLEMS = ("application/problem+json", "application/fhir+json")
"""A refusal in FHIR is an OperationOutcome."""

BODIES = ("params", "json", "data", "files", "content")

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module", params=["central", "node"])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[FastAPI, TestClient]]:
    folder = tmp_path_factory.mktemp(request.param)
    participant: Any = Network(folder) if request.param == "central" else NodeInProcess(folder)
    app: FastAPI = participant.people if request.param == "central" else participant.app
    database: Database = (
        participant.central.database if request.param == "central" else participant.rooms.database
    )
    if request.param == "central":
        participant.post("pi", "/api/studies", {"definition": DEFINITION})
        participant.enrol("ALPHA")
    accounts = AccountStore(request.param)
    # Who may do everything gets furthest.
    user = accounts.create(database, "everybody", PASSWORD, list(Role))
    client = TestClient(app, follow_redirects=False, raise_server_exceptions=False)
    client.headers["authorization"] = f"Bearer {accounts.open_session(database, user).token}"
    yield app, client
    participant.close()


@pytest.mark.timeout(7200)  # all routes in one test: most of the price is starting a participant
def test_no_request_breaks_a_route(asked: tuple[FastAPI, TestClient]) -> None:
    app, client = asked
    schema = schemathesis.openapi.from_dict(app.openapi())
    broken: dict[str, str] = {}
    count = 0
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.method not in METHODS or any(part in operation.path for part in NOT_ASKED):
            continue
        _try(operation.as_strategy(), client, broken)
        count += 1
    assert count > 30
    assert broken == {}


def _try(cases: st.SearchStrategy[schemathesis.Case], client: TestClient, broken: dict[str, str]) -> None:
    @given(cases)
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=not IN_FULL,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: schemathesis.Case) -> None:
        invented = dict(case.path_parameters)
        for known in ({}, KNOWN):
            case.path_parameters = {name: known.get(name, value) for name, value in invented.items()}
            sent = case.as_transport_kwargs(base_url="http://testserver")
            headers = dict(sent.get("headers") or {})
            headers = {name: value for name, value in headers.items() if name.lower() != "authorization"}
            rest = {name: sent[name] for name in BODIES if sent.get(name) is not None}
            answer = client.request(sent["method"], sent["url"], headers=headers, **rest)
            kind = answer.headers.get("content-type", "").partition(";")[0]
            name = f"{case.method} {case.operation.path}"
            if answer.status_code >= 500 or (answer.status_code >= 400 and kind not in PROBLEMS):
                broken.setdefault(name, f"{answer.status_code} {kind} {sent['url']} {rest}")

    run: Callable[[], None] = ask
    run()
