"""Pages of accounts: sign in with a code, change one's password, manage everybody's, and everything audited."""

from __future__ import annotations

import contextlib
import re
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.domain.permission import DECIDING_ROLES
from racoon.errors import Refused
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountGrants, AccountStore, install_accounts, second_factor
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
    accounts.create(database, "dieter", PASSWORD, [Role.DPO], "ALPHA")
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


def half(page: str) -> str:
    found = re.search(r'<strong class="mono">([^<]+)</strong>', page)
    assert found is not None
    return found[1]


def confirm(person: TestClient, account: str) -> str:
    """Confirm what waits for an account, as a person does; return the page."""
    page = person.get("/confirmations").text
    row = next(part for part in page.split("<tr>") if f"<strong>{account}</strong>" in part)
    found = re.search(r'action="(/confirmations/[0-9a-f]+)"', row)
    assert found is not None
    return person.post(found[1]).text


def test_who_manages_accounts_makes_changes_and_disables_them(app: FastAPI) -> None:
    ina = browser(app, "ina")
    made = ina.post("/accounts", data={"name": "dora", "roles": ["reader", "study_nurse"]})
    password = half(made.text)
    dora = browser(app, "dora", password)
    assert dora.get("/api/session").json()["roles"] == ["reader", "study_nurse"]
    assert dora.get("/api/session").json()["site"] == "ALPHA"
    assert dora.get("/accounts").status_code == 403
    assert dora.get("/confirmations").status_code == 403
    ina.post("/accounts/dora/roles", data={"roles": ["reader"]})
    assert dora.get("/api/session").json()["roles"] == ["reader"]
    ina.post("/accounts/dora/state", data={"enable": "false"})
    assert dora.get("/api/session").status_code == 401
    ina.post("/accounts/dora/state", data={"enable": "true"})
    set_up(browser(app, "dora", password))
    renewed = half(ina.post("/accounts/dora/password").text)
    assert browser(app, "dora", renewed).get("/api/session").status_code == 200
    for address in ("roles", "state", "password"):
        assert ina.post(f"/accounts/ina/{address}").status_code == 400
    assert ina.post("/accounts", data={"name": "dora"}).status_code == 400
    assert ina.post("/accounts", data={"name": "Räuber; DROP"}).status_code == 422
    assert ina.post("/accounts/nobody/password").status_code == 400
    actions, rows = audited(app)
    assert actions == [
        "account.create",
        "account.roles",
        "account.disable",
        "account.enable",
        "account.second_factor.set",
        "account.reset",
    ]
    assert password not in rows
    assert renewed not in rows


def audited(app: FastAPI) -> tuple[list[str], str]:
    with app.state.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT action, target, details FROM audit ORDER BY seq").all()
    return [row[0] for row in rows if row[0].startswith("account.")], str(rows)


def test_a_role_that_decides_waits_for_a_second_person(app: FastAPI) -> None:
    ina, dieter = browser(app, "ina"), browser(app, "dieter")
    made = ina.post("/accounts", data={"name": "dora", "roles": ["reader", "dpo"]})
    assert "waits for a second person" in made.text
    first = half(made.text)
    assert browser(app, "dora", first).get("/api/session").status_code == 401
    own = ina.get("/confirmations").text
    assert "Take back" in own
    asked = re.search(r'action="(/confirmations/[0-9a-f]+)/refusal"', own)
    assert asked is not None
    assert ina.post(asked[1]).status_code == 400
    second = half(confirm(dieter, "dora"))
    assert dieter.post(asked[1]).status_code == 400
    for known in (first, second):
        assert browser(app, "dora", known).get("/api/session").status_code == 401
    dora = browser(app, "dora", first + second)
    assert dora.get("/api/session").json()["roles"] == ["dpo", "reader"]
    # A lost telephone: the old password holds until the second person has confirmed.
    reset = half(ina.post("/accounts/dora/password").text)
    assert dora.get("/api/session").status_code == 200
    renewed = reset + half(confirm(dieter, "dora"))
    assert dora.get("/api/session").status_code == 401
    assert browser(app, "dora", renewed).get("/api/session").status_code == 200
    ina.post("/accounts/dora/state", data={"enable": "false"})
    assert "waits for a second person" in ina.post("/accounts/dora/state", data={"enable": "true"}).text
    assert browser(app, "dora", renewed).get("/api/session").status_code == 401
    confirm(dieter, "dora")
    assert browser(app, "dora", renewed).get("/api/session").json()["roles"] == ["dpo", "reader"]
    actions, rows = audited(app)
    assert actions.count("account.grant.ask") == actions.count("account.grant.confirm") == 3
    assert first not in rows
    assert second not in rows
    stored = stored_bytes(app)
    assert (first + second).encode() not in stored


def stored_bytes(app: FastAPI) -> bytes:
    return Path(app.state.database.engine.url.database).read_bytes()


def test_the_first_deciding_role_of_an_account_comes_with_a_new_password(app: FastAPI) -> None:
    ina, dieter = browser(app, "ina"), browser(app, "dieter")
    known = half(ina.post("/accounts", data={"name": "dora", "roles": ["reader"]}).text)
    as_dora = browser(app, "dora", known)
    ina.post("/accounts/dora/roles", data={"roles": ["reader", "diz"]})
    assert as_dora.get("/api/session").json()["roles"] == ["reader"]
    confirm(dieter, "dora")
    assert as_dora.get("/api/session").status_code == 401
    assert browser(app, "dora", known).get("/api/session").status_code == 401


def test_a_confirmation_that_no_longer_holds_does_nothing(app: FastAPI) -> None:
    ina, dieter = browser(app, "ina"), browser(app, "dieter")
    first = half(ina.post("/accounts", data={"name": "dora", "roles": ["diz"]}).text)
    password = first + half(confirm(dieter, "dora"))
    # One more role needs no new password; but then all are taken away and a known password is made.
    ina.post("/accounts/dora/roles", data={"roles": ["diz", "dpo"]})
    page = dieter.get("/confirmations").text
    waiting = re.search(r'action="(/confirmations/[0-9a-f]+)"', page)
    assert waiting is not None
    ina.post("/accounts/dora/roles", data={"roles": ["reader"]})
    known = half(ina.post("/accounts/dora/password").text)
    assert known != password
    assert dieter.post(waiting[1]).status_code == 400
    assert browser(app, "dora", known).get("/api/session").json()["roles"] == ["reader"]
    # Who asked is disabled meanwhile.
    ina.post("/accounts/dora/roles", data={"roles": ["dpo"]})
    app.state.accounts.disable(app.state.database, "ina")
    page = dieter.get("/confirmations").text
    waiting = re.search(r'action="(/confirmations/[0-9a-f]+)"', page)
    assert waiting is not None
    assert dieter.post(waiting[1]).status_code == 400
    assert dieter.post(waiting[1] + "/refusal").status_code == 200
    assert "Nothing waits" in dieter.get("/confirmations").text


def test_a_waiting_grant_ends_by_itself(app: FastAPI) -> None:
    ina, dieter = browser(app, "ina"), browser(app, "dieter")
    ina.post("/accounts", data={"name": "dora", "roles": ["dpo"]})
    now = clock.now()
    with app.state.database.begin() as connection:
        connection.execute(
            sa.text("UPDATE account_grant SET asked_at = :moment"),
            {"moment": (now - timedelta(days=7, seconds=1)).isoformat(sep=" ").removesuffix("+00:00")},
        )
    assert "Nothing waits" in dieter.get("/confirmations").text


@settings(max_examples=6, deadline=None)
@given(st.data())
def test_nobody_alone_ends_up_with_a_deciding_account(data: st.DataObject) -> None:
    """Whatever one manager does, no password that this person saw ever opens an account that decides."""
    with tempfile.TemporaryDirectory() as folder:
        database = Database(f"sqlite:///{folder}/node.sqlite")
        create_all(database, "node")
        accounts, grants = AccountStore("node"), AccountGrants("node", AuditLog("node"))
        ina = accounts.create(database, "ina", PASSWORD, [Role.SITE_INFORMATICIAN], "ALPHA")
        dieter = accounts.create(database, "dieter", PASSWORD, [Role.DPO], "ALPHA")
        grants.create(database, "dora", [Role.READER], site="ALPHA", by=ina)
        seen = set()
        roles = st.sets(st.sampled_from([Role.READER, Role.DPO, Role.DIZ, Role.SITE_INFORMATICIAN]))
        for _ in range(data.draw(st.integers(1, 8))):
            step = data.draw(st.sampled_from(["roles", "reset", "enable", "disable", "confirm"]))
            if step == "confirm":
                for grant in grants.waiting(database)[:1]:
                    with contextlib.suppress(Refused):
                        grants.confirm(database, grant.grant_id, by=dieter)
                    with pytest.raises(Refused):
                        grants.confirm(database, grant.grant_id, by=ina)
                continue
            if step == "roles":
                changed = grants.change_roles(database, "dora", data.draw(roles), by=ina)
            elif step == "reset":
                changed = grants.reset(database, "dora", by=ina)
            else:
                changed = grants.set_enabled(database, "dora", enabled=step == "enable", by=ina)
            seen |= {changed.password} - {""}
            for password in seen:
                with contextlib.suppress(Refused):
                    user = accounts.verify(database, "dora", password)
                    assert not user.roles & DECIDING_ROLES["node"]
            with database.begin() as connection:
                connection.execute(sa.text("DELETE FROM login_throttle"))
        database.dispose()
