"""Pages of accounts: sign in with a code, change one's password, manage everybody's, and everything audited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.platform import clock
from racoon.platform.auth import install_accounts, second_factor
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.accounts import router
from racoon.web.pages import Site, install_pages

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "ina", PASSWORD, [Role.SITE_INFORMATICIAN], "ALPHA")
    accounts.create(database, "rita", PASSWORD, [Role.READER], "ALPHA")
    install_pages(app, site=Site("ALPHA", "Alpha"))
    app.include_router(router)
    yield app
    database.dispose()


def browser(app: FastAPI, name: str, password: str = PASSWORD) -> TestClient:
    client = TestClient(app, follow_redirects=True, headers=ORIGIN)
    client.post("/login", data={"username": name, "password": password, "next": "/account"})
    return client


def set_up(client: TestClient) -> tuple[str, list[str]]:
    """Set up a second factor as a person does, with the code of the step before."""
    page = client.get("/account").text
    secret = re.search(r'name="secret" value="([A-Z2-7]+)"', page)
    assert secret is not None
    earlier = second_factor.code_at(secret[1], clock.now() - timedelta(seconds=30))
    answer = client.post("/account/second-factor", data={"secret": secret[1], "code": earlier})
    assert answer.status_code == 200
    return secret[1], re.findall(r"<li>([a-z2-7-]{19})</li>", answer.text)


def test_a_second_factor_is_asked_for_at_the_next_sign_in(app: FastAPI) -> None:
    rita = browser(app, "rita")
    wrong = rita.post(
        "/account/second-factor", data={"secret": second_factor.make_secret(), "code": "000000"}
    )
    assert wrong.status_code == 400
    secret, recovery = set_up(rita)
    assert len(recovery) == 8
    again = TestClient(app, follow_redirects=True, headers=ORIGIN)
    asked = again.post("/login", data={"username": "rita", "password": PASSWORD, "next": "/account"})
    assert "/login?step=code" in str(asked.url)
    assert 'name="code"' in asked.text
    assert again.get("/api/session").status_code == 401
    refused = again.post("/login/code", data={"code": "000000", "next": "/account"})
    assert "used already or too old" in refused.text
    code = second_factor.code_at(secret, clock.now())
    arrived = again.post("/login/code", data={"code": code, "next": "/account"})
    assert arrived.url.path == "/account"
    assert again.get("/api/session").json()["name"] == "rita"
    lost = TestClient(app, headers=ORIGIN)
    body = {"username": "rita", "password": PASSWORD}
    assert lost.post("/api/session", json=body).json()["type"].endswith("auth.code_needed")
    assert lost.post("/api/session", json={**body, "code": recovery[3]}).status_code == 200


def test_a_participant_may_require_it(app: FastAPI) -> None:
    app.state.needs_second_factor = True
    ina = browser(app, "ina")
    refused = ina.get("/accounts")
    assert refused.status_code == 403
    assert "second factor" in refused.text
    set_up(ina)
    assert ina.get("/accounts").status_code == 200


def test_a_person_changes_the_own_password(app: FastAPI) -> None:
    rita = browser(app, "rita")
    new = "another battery"
    for data in (
        {"old": "wrong", "new": new, "again": new},
        {"old": PASSWORD, "new": new, "again": "different"},
        {"old": PASSWORD, "new": "short", "again": "short"},
    ):
        assert rita.post("/account/password", data=data).status_code == 400
    rita.post("/account/password", data={"old": PASSWORD, "new": new, "again": new})
    assert rita.get("/api/session").status_code == 401
    assert browser(app, "rita", new).get("/api/session").json()["name"] == "rita"


def test_who_manages_accounts_makes_changes_and_disables_them(app: FastAPI) -> None:
    ina = browser(app, "ina")
    made = ina.post("/accounts", data={"name": "dora", "roles": ["dpo", "diz"]})
    password = re.search(r'<strong class="mono">([^<]+)</strong>', made.text)
    assert password is not None
    dora = browser(app, "dora", password[1])
    assert dora.get("/api/session").json() == {"name": "dora", "roles": ["diz", "dpo"], "site": "ALPHA"}
    assert dora.get("/accounts").status_code == 403
    ina.post("/accounts/dora/roles", data={"roles": ["dpo"]})
    assert dora.get("/api/session").json()["roles"] == ["dpo"]
    ina.post("/accounts/dora/state", data={"enable": "false"})
    assert dora.get("/api/session").status_code == 401
    ina.post("/accounts/dora/state", data={"enable": "true"})
    set_up(browser(app, "dora", password[1]))
    fresh = ina.post("/accounts/dora/password")
    renewed = re.search(r'<strong class="mono">([^<]+)</strong>', fresh.text)
    assert renewed is not None
    assert browser(app, "dora", renewed[1]).get("/api/session").status_code == 200
    for address in ("roles", "state", "password"):
        assert ina.post(f"/accounts/ina/{address}").status_code == 400
    assert ina.post("/accounts", data={"name": "dora"}).status_code == 400
    assert ina.post("/accounts", data={"name": "Räuber; DROP"}).status_code == 422
    assert ina.post("/accounts/nobody/password").status_code == 400
    with app.state.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT action, target, details FROM audit ORDER BY seq").all()
    actions = [row[0] for row in rows if row[0].startswith("account.")]
    assert actions == [
        "account.create",
        "account.roles",
        "account.disable",
        "account.enable",
        "account.second_factor.set",
        "account.reset",
    ]
    assert password[1] not in str(rows)
    assert renewed[1] not in str(rows)
