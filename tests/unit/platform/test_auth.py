"""Accounts, sessions, throttling and the permission dependency."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import pytest
from fastapi import Depends, FastAPI
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import (
    AccountExists,
    AccountStore,
    LoginThrottled,
    NoSuchAccount,
    User,
    WeakPassword,
    WrongCredentials,
    current_user,
    install_accounts,
    require,
)
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app

PASSWORD = "correct horse"
ORIGIN = {"origin": "http://testserver"}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    yield database
    database.dispose()


@pytest.fixture
def accounts(database: Database) -> AccountStore:
    accounts = AccountStore("node")
    accounts.create(database, "rita", PASSWORD, [Role.READER, Role.DATA_MANAGER], "ALPHA")
    return accounts


class Clock:
    """A clock that a test moves; it replaces the time, not our code."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shift = timedelta(0)
        real = clock.now
        monkeypatch.setattr(clock, "now", lambda: real() + self.shift)

    def now(self) -> datetime:
        return clock.now()


@pytest.fixture
def moving_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def test_create_and_verify(database: Database, accounts: AccountStore) -> None:
    user = accounts.verify(database, "rita", PASSWORD)
    assert user == User("rita", frozenset({Role.READER, Role.DATA_MANAGER}), "ALPHA")
    assert user.main_role == "data_manager"
    with pytest.raises(AccountExists):
        accounts.create(database, "rita", PASSWORD, [])
    with pytest.raises(WeakPassword):
        accounts.create(database, "tim", "short", [])
    with pytest.raises(NoSuchAccount):
        accounts.disable(database, "nobody")
    assert [account.user.name for account in accounts.accounts(database)] == ["rita"]


def test_wrong_unknown_and_disabled_look_alike(database: Database, accounts: AccountStore) -> None:
    accounts.create(database, "tim", PASSWORD, [Role.READER])
    accounts.disable(database, "tim")
    messages = set()
    for name, password in (("rita", "wrong horse"), ("nobody", PASSWORD), ("tim", PASSWORD)):
        with pytest.raises(WrongCredentials) as raised:
            accounts.verify(database, name, password)
        messages.add(raised.value.public_message)
    assert len(messages) == 1


def test_password_is_not_stored(database: Database, accounts: AccountStore, tmp_path: Path) -> None:
    session = accounts.open_session(database, accounts.verify(database, "rita", PASSWORD))
    database.dispose()
    stored = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"rita" in stored
    assert PASSWORD.encode() not in stored
    assert session.token.encode() not in stored


def test_throttling_doubles_and_ends(database: Database, accounts: AccountStore, moving_clock: Clock) -> None:
    for _ in range(5):
        with pytest.raises(WrongCredentials):
            accounts.verify(database, "rita", "wrong horse")
    with pytest.raises(LoginThrottled) as raised:
        accounts.verify(database, "rita", PASSWORD)
    assert raised.value.headers == {"Retry-After": "1"}
    moving_clock.shift += timedelta(seconds=2)
    with pytest.raises(WrongCredentials):
        accounts.verify(database, "rita", "wrong horse")
    with pytest.raises(LoginThrottled) as raised:
        accounts.verify(database, "rita", PASSWORD)
    assert raised.value.headers == {"Retry-After": "2"}
    moving_clock.shift += timedelta(minutes=5)
    assert accounts.verify(database, "rita", PASSWORD).name == "rita"
    with pytest.raises(WrongCredentials):
        accounts.verify(database, "rita", "wrong horse")
    assert accounts.verify(database, "rita", PASSWORD).name == "rita"


def test_session_idle_and_absolute_end(
    database: Database, accounts: AccountStore, moving_clock: Clock
) -> None:
    user = accounts.verify(database, "rita", PASSWORD)
    session = accounts.open_session(database, user)
    for _ in range(3):
        moving_clock.shift += timedelta(minutes=29)
        assert accounts.user_of_session(database, session.token) == user
    moving_clock.shift += timedelta(minutes=31)
    assert accounts.user_of_session(database, session.token) is None
    machine = accounts.open_session(database, user, lifetime=timedelta(days=30), idle=None)
    moving_clock.shift += timedelta(days=29)
    assert accounts.user_of_session(database, machine.token) == user
    moving_clock.shift += timedelta(days=2)
    assert accounts.user_of_session(database, machine.token) is None


def test_disable_and_new_password_end_sessions(database: Database, accounts: AccountStore) -> None:
    user = accounts.verify(database, "rita", PASSWORD)
    first = accounts.open_session(database, user)
    accounts.set_password(database, "rita", "another horse")
    assert accounts.user_of_session(database, first.token) is None
    second = accounts.open_session(database, accounts.verify(database, "rita", "another horse"))
    accounts.set_roles(database, "rita", [Role.DPO])
    seen = accounts.user_of_session(database, second.token)
    assert seen is not None
    assert seen.roles == {Role.DPO}
    accounts.disable(database, "rita")
    assert accounts.user_of_session(database, second.token) is None
    accounts.enable(database, "rita")
    assert accounts.verify(database, "rita", "another horse").name == "rita"


def _app(database: Database) -> FastAPI:
    app = create_app("Test", "1", login_path="/login")
    install_accounts(app, "node", database)

    @app.get("/me")
    def me(user: Annotated[User, Depends(current_user)]) -> str:
        return user.name

    @app.get("/audit")
    def audit(user: Annotated[User, Depends(require("audit.read"))]) -> str:
        return user.name

    @app.get("/images")
    def images(user: Annotated[User, Depends(require("image.read"))]) -> str:
        return user.name

    @app.get("/nonsense")
    def nonsense(user: Annotated[User, Depends(require("no.such.action"))]) -> str:
        return user.name

    return app


@pytest.fixture
def client(database: Database, accounts: AccountStore) -> Iterator[TestClient]:
    with TestClient(_app(database), follow_redirects=False) as client:
        yield client


def test_json_login_with_cookie_and_token(client: TestClient) -> None:
    assert client.get("/me").status_code == 401
    assert client.get("/me").headers["www-authenticate"] == "Bearer"
    answer = client.post("/api/session", json={"username": "rita", "password": PASSWORD})
    assert answer.status_code == 200
    assert answer.json()["user"] == {"name": "rita", "roles": ["data_manager", "reader"], "site": "ALPHA"}
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert client.get("/api/session").json()["name"] == "rita"
    token = answer.json()["token"]
    client.cookies.clear()
    assert client.get("/me").status_code == 401
    assert client.get("/me", headers={"authorization": f"Bearer {token}"}).json() == "rita"
    assert client.delete("/api/session", headers={"authorization": f"Bearer {token}"}).status_code == 204
    assert client.get("/me", headers={"authorization": f"Bearer {token}"}).status_code == 401


def test_permission_table_decides(client: TestClient) -> None:
    client.post("/api/session", json={"username": "rita", "password": PASSWORD})
    assert client.get("/images").json() == "rita"
    assert client.get("/audit").json()["code"] == "auth.forbidden"
    assert client.get("/nonsense").status_code == 403


def test_form_login(client: TestClient) -> None:
    form = {"username": "rita", "password": PASSWORD, "next": "/images?x=1"}
    answer = client.post("/login", data=form, headers=ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, "/images?x=1")
    assert client.get("/me").json() == "rita"
    out = client.post("/logout", headers=ORIGIN)
    assert (out.status_code, out.headers["location"]) == (303, "/login")
    assert client.get("/me").status_code == 401


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", ""]
)
def test_form_login_stays_here(client: TestClient, target: str) -> None:
    form = {"username": "rita", "password": PASSWORD, "next": target}
    assert client.post("/login", data=form, headers=ORIGIN).headers["location"] == "/"


def test_failed_form_login_says_so(client: TestClient) -> None:
    answer = client.post("/login", data={"username": "rita", "password": "x", "next": "/me"}, headers=ORIGIN)
    assert answer.headers["location"] == "/login?failed=wrong_credentials&next=/me"


def test_logins_are_audited_without_what_was_typed(client: TestClient, database: Database) -> None:
    client.post("/api/session", json={"username": PASSWORD, "password": "rita"})
    client.post("/api/session", json={"username": "rita", "password": PASSWORD})
    client.delete("/api/session", headers=ORIGIN)
    log = AuditLog("node")
    with database.connect() as connection:
        entries = log.entries(connection)
        assert log.verify(connection).valid
    assert [(entry.action, entry.actor, entry.outcome) for entry in entries] == [
        ("session.close", "rita", "success"),
        ("session.open", "rita", "success"),
        ("session.open", "unknown", "refused"),
    ]
    assert PASSWORD not in repr(entries)
