"""Every route of people's listener with every role, and every step on a study in every state: nothing slips through."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi.testclient import TestClient

from racoon.central.studies._store import study as study_table
from racoon.domain.governance.study import STUDY_STATES, STUDY_TABLE
from racoon.domain.identity import Role
from racoon.domain.permission import is_permitted, is_permitted_in
from racoon.platform.auth import AccountStore
from tests.routes import actions_of, api_routes
from tests.simulated_network import DEFINITION, PASSWORD, Network

PLACES = {"study_id": "RS-0001", "code": "ALPHA", "number": "1", "run_id": "none", "plan_hash": "none"}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    network = Network(tmp_path_factory.mktemp("central"))
    network.post("pi", "/api/studies", {"definition": DEFINITION})
    yield network
    network.close()


@pytest.fixture(scope="module")
def people(network: Network) -> dict[Role, TestClient]:
    """One person per role."""
    accounts, database = AccountStore("central"), network.central.database
    found = {}
    for role in Role:
        user = accounts.create(database, f"only-{role.value.replace('_', '-')}", PASSWORD, [role])
        token = accounts.open_session(database, user).token
        client = TestClient(network.people, base_url="http://127.0.0.1:8500", follow_redirects=False)
        client.headers["authorization"] = f"Bearer {token}"
        found[role] = client
    return found


def guarded_routes(network: Network) -> list[tuple[str, str, set[str]]]:
    """``(method, path, actions)`` of every route that asks the table."""
    found = []
    for route in api_routes(network.people):
        if actions := actions_of(route):
            path = re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: PLACES.get(match[1], "none"), route.path)
            found += [(method, path, actions) for method in sorted(route.methods)]
    return found


def test_every_route_turns_away_every_role_that_is_not_listed(
    network: Network, people: dict[Role, TestClient]
) -> None:
    routes = guarded_routes(network)
    assert len(routes) > 40
    stranger = TestClient(network.people, base_url="http://127.0.0.1:8500", follow_redirects=False)
    refused = 0
    for method, path, actions in routes:
        if path.endswith("/events"):
            continue
        assert stranger.request(method, path).status_code in (401, 303), (method, path)
        for role, person in people.items():
            if all(is_permitted("central", [role], action) for action in actions):
                continue
            answer = person.request(method, path)
            assert answer.status_code == 403, (method, path, role)
            refused += 1
    assert refused > 300


BODIES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "study.request_sites": ("POST", "/api/studies/RS-0001/sites", {"sites": ["NOWHERE"]}),
    "study.amend": ("POST", "/api/studies/RS-0001/amendments", {"definition": {}, "reason": "x"}),
    "study.answer": ("PATCH", "/api/studies/RS-0001/application", {"answers": {}, "version": -1}),
    "run.start": ("POST", "/api/studies/RS-0001/runs", {"kind": "measure"}),
}


@pytest.mark.parametrize("state", STUDY_STATES)
def test_in_no_state_does_a_role_get_further_than_the_table(
    network: Network, people: dict[Role, TestClient], state: str
) -> None:
    database = network.central.database
    with database.begin() as connection:
        connection.execute(sa.update(study_table).values(state=state))
    before = network.study("RS-0001")
    assert before["state"] == state
    for role, person in people.items():
        for action, (method, path, body) in BODIES.items():
            answer = person.request(method, path, json=body)
            assert answer.status_code in (403, 409, 422, 404), (action, role, answer.text)
            if not is_permitted("central", [role], action):
                assert answer.status_code == 403, (action, role)
        turn = is_permitted_in("central", role, "study.transition", state)
        for target in STUDY_STATES:
            row = STUDY_TABLE.find(state, target)
            if row is not None and role in row.roles:
                assert turn
                continue
            body = {"target": target, "artefacts": {"comment": "x", "signature": "x", "checklist": "x"}}
            answer = person.post("/api/studies/RS-0001/transitions", json=body)
            assert answer.status_code in (403, 409), (role, target, answer.text)
    after = network.study("RS-0001")
    assert (after["state"], after["version"], after["hash"]) == (state, before["version"], before["hash"])
