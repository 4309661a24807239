"""Every route of a node with every role: who is not listed for its action is turned away, and so is a stranger."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.domain.permission import PERMISSIONS, is_permitted
from racoon.platform.auth import AccountStore
from tests.node_rooms import PASSWORD, NodeInProcess
from tests.routes import actions_of, api_routes

OPEN = {"/health/live", "/health/ready", "/metrics", "/login", "/logout", "/api/session", "/preferences"}
"""What needs no right: signing in and out, health, the choice of language and colours."""

OWN = {
    "/account",
    "/account/password",
    "/account/second-factor",
    "/account/second-factor/removal",
    "/login/code",
}
"""One's own account: whoever is signed in, or about to be."""

FHIR = "/fhir/"
"""These ask the table by the kind of resource; the statement of what the server can do is open, as FHIR wants."""


def test_every_route_of_a_node_turns_away_every_role_that_is_not_listed(tmp_path: Path) -> None:
    node = NodeInProcess(tmp_path)
    accounts, database = AccountStore("node"), node.rooms.database
    app = node.app
    asked: set[str] = set()
    refused = 0
    people = {}
    for role in Role:
        user = accounts.create(database, f"only-{role.value.replace('_', '-')}", PASSWORD, [role])
        people[role] = TestClient(app, base_url="http://127.0.0.1:8600", follow_redirects=False)
        people[role].headers["authorization"] = f"Bearer {accounts.open_session(database, user).token}"
    stranger = TestClient(app, base_url="http://127.0.0.1:8600", follow_redirects=False)
    for route in api_routes(app):
        actions = actions_of(route)
        asked |= actions
        path = re.sub(r"\{(\w+)(?::\w+)?\}", "1", route.path)
        for method in sorted(route.methods):
            if not actions:
                continue
            assert stranger.request(method, path).status_code in (401, 303), (method, path)
            for role, person in people.items():
                if not all(is_permitted("node", [role], action) for action in actions):
                    assert person.request(method, path).status_code == 403, (method, path, role)
                    refused += 1
    assert refused > 1000
    assert asked <= set(PERMISSIONS["node"])
    unguarded = {route.path for route in api_routes(app) if not actions_of(route)}
    assert {path for path in unguarded if not path.startswith(FHIR)} <= OPEN | OWN
    for path in ("Patient", "ImagingStudy/1", "$export", "$export-file/Patient/1", "$export-status/1"):
        assert stranger.get(FHIR + path).status_code == 401, path
        assert people[Role.RESEARCHER].get(FHIR + path).status_code in (403, 404), path
    node.close()
