"""Sign in at an identity provider over real HTTP: the way there and back, and every forgery turned away."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from fastapi import FastAPI
from joserfc.jwk import ECKey, OctKey
from pydantic import ValidationError
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.platform.audit import AuditLog
from racoon.platform.auth import AccountGrants, AccountStore, ExternalAccount, User, install_accounts
from racoon.platform.auth.oidc import install_providers
from racoon.platform.auth.oidc.settings import ProviderSettings
from racoon.platform.auth.people import as_seen_by
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.platform.settings import ConfigurationError
from racoon.web.accounts import router
from racoon.web.pages import Site, install_pages
from tests.identity_provider import CLIENT, SECRET, IdentityProvider

HERE = "http://testserver"
PASSWORD = "correct horse"


@pytest.fixture(scope="module")
def served() -> Iterator[IdentityProvider]:
    provider = IdentityProvider()
    yield provider
    provider.close()


@pytest.fixture
def idp(served: IdentityProvider) -> IdentityProvider:
    served.claims = {"sub": "7f3a", "preferred_username": "Dora Müller", "groups": ["readers", "golf"]}
    served.twist, served.signer, served.is_broken = lambda claims: claims, served.signed, False
    served.described = {}
    return served


def settings_of(idp: IdentityProvider, tmp_path: Path, **other: Any) -> ProviderSettings:
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n", encoding="utf-8")
    fields = {
        "name": "hospital",
        "title": "the hospital",
        "issuer": idp.issuer,
        "client_id": CLIENT,
        "client_secret_file": secret,
        "roles": {"readers": ("reader",), "privacy": ("dpo", "study_nurse"), "board": ("uac_chair",)},
    }
    return ProviderSettings.model_validate(fields | other)


@pytest.fixture
def make(idp: IdentityProvider, tmp_path: Path) -> Iterator[Callable[..., FastAPI]]:
    databases = []

    def made(*more: ProviderSettings, second_factor: Any = "optional", **other: Any) -> FastAPI:
        database = Database(f"sqlite:///{tmp_path}/node.sqlite")
        databases.append(database)
        create_all(database, "node")
        app = create_app("node", "0", login_path="/login")
        accounts = install_accounts(app, "node", database, second_factor=second_factor)
        accounts.create(database, "ina", PASSWORD, [Role.SITE_INFORMATICIAN], "ALPHA")
        install_providers(app, (settings_of(idp, tmp_path, **other), *more), base_url=HERE, site="ALPHA")
        install_pages(app, site=Site("ALPHA", "Alpha"))
        app.include_router(router)
        return app

    yield made
    for database in databases:
        database.dispose()


def browser(app: FastAPI) -> TestClient:
    return TestClient(app, base_url=HERE, follow_redirects=False, headers={"origin": HERE})


def way_back(client: TestClient, target: str = "/account") -> str:
    """Go to the provider as a browser does; return the address it sends the browser back to."""
    away = client.get("/login/oidc/hospital", params={"next": target})
    assert away.status_code == 303
    return httpx.get(away.headers["location"]).headers["location"]


def sign_in(app: FastAPI) -> tuple[TestClient, str]:
    client = browser(app)
    answer = client.get(way_back(client))
    assert answer.status_code == 303
    return client, answer.headers["location"]


def test_a_person_signs_in_and_out_with_mapped_roles_only(
    make: Callable[..., FastAPI], idp: IdentityProvider
) -> None:
    app = make()
    assert "Sign in with the hospital" in browser(app).get("/login").text
    dora, arrived = sign_in(app)
    assert arrived == "/account"
    assert dora.get("/api/session").json() == {
        "name": "dora-m-ller@hospital",
        "roles": ["reader"],
        "site": "ALPHA",
    }
    assert "identity provider" in dora.get("/account").text
    assert (
        dora.post("/account/password", data={"old": "", "new": PASSWORD, "again": PASSWORD}).status_code
        == 403
    )
    # Another person of the same name is another account; the same one with another name is the same.
    idp.claims = {"sub": "other", "preferred_username": "Dora Müller", "groups": "privacy"}
    other, _ = sign_in(app)
    assert other.get("/api/session").json()["name"] != dora.get("/api/session").json()["name"]
    assert other.get("/api/session").json()["roles"] == ["study_nurse"], "a role that decides waits"
    confirm_all(app)
    assert other.get("/api/session").json()["roles"] == ["dpo", "study_nurse"]
    idp.claims = {"sub": "7f3a", "preferred_username": "Dora Meier", "groups": ["privacy"]}
    again, _ = sign_in(app)
    assert again.get("/api/session").json()["name"] == "dora-m-ller@hospital"
    assert dora.get("/api/session").json()["roles"] == ["study_nurse"], "confirmed for another person"
    confirm_all(app)
    assert dora.get("/api/session").json()["roles"] == ["dpo", "study_nurse"]
    # A role that the provider takes away is gone at once, and waits anew when it comes back.
    idp.claims = {"sub": "7f3a", "preferred_username": "Dora Meier", "groups": ["readers"]}
    assert sign_in(app)[0].get("/api/session").json()["roles"] == ["reader"]
    idp.claims = {"sub": "7f3a", "preferred_username": "Dora Meier", "groups": ["privacy"]}
    assert sign_in(app)[0].get("/api/session").json()["roles"] == ["study_nurse"]
    left = again.post("/logout")
    ended = urlsplit(left.headers["location"])
    assert f"{ended.scheme}://{ended.netloc}{ended.path}" == f"{idp.issuer}/end"
    assert parse_qs(ended.query)["post_logout_redirect_uri"] == [f"{HERE}/login"]
    assert again.get("/api/session").status_code == 401
    with app.state.database.connect() as connection:
        rows = connection.exec_driver_sql("SELECT actor, action, details FROM audit").all()
    assert any(row[0] == "dora-m-ller@hospital" and row[1] == "session.open" for row in rows)


def confirm_all(app: FastAPI) -> None:
    """Let a person with a password confirm every role that waits."""
    database = app.state.database
    grants = AccountGrants("node", AuditLog("node"))
    for grant in grants.waiting(database):
        grants.confirm(database, grant.grant_id, by=User("conrad", frozenset({Role.DPO}), "ALPHA"))


def test_who_only_decides_gets_in_when_another_person_confirmed(
    make: Callable[..., FastAPI], idp: IdentityProvider
) -> None:
    app = make()
    idp.claims = {"sub": "chair", "preferred_username": "Uwe", "groups": ["board"]}
    client = browser(app)
    refused = client.get(way_back(client))
    assert refused.headers["location"].startswith("/login?failed=roles_wait")
    assert "has to confirm them" in client.get(refused.headers["location"]).text
    confirm_all(app)
    uwe, _ = sign_in(app)
    assert uwe.get("/api/session").json()["roles"] == ["uac_chair"]


def test_accounts_that_may_be_one_person_count_as_one(
    make: Callable[..., FastAPI], idp: IdentityProvider
) -> None:
    app = make()
    names = []
    for subject in ("one", "two"):
        idp.claims = {"sub": subject, "preferred_username": subject, "groups": ["readers"]}
        names.append(sign_in(app)[0].get("/api/session").json()["name"])
    accounts = AccountStore("node")
    for name in ("emma", "emil"):
        accounts.create(app.state.database, name, PASSWORD, [Role.READER], "ALPHA")
    with app.state.database.connect() as connection:
        same = partial(accounts.is_same_person, connection)
        assert not same(*names), "one provider vouches for its people"
        assert not same("emma", "emil"), "each was granted by two others"
        assert same("emma", names[0]), "nobody can tell"
        assert not same("CENTRAL", names[0]), "a machine is nobody's second account"
        assert as_seen_by("node", connection, "emma", names[0]) == names[0]
        assert as_seen_by("node", connection, "emma", "emil") == "emma"


def test_nobody_gets_in_without_a_mapped_role(make: Callable[..., FastAPI], idp: IdentityProvider) -> None:
    app = make()
    for groups in (["golf"], [], None, {"readers": True}, 7):
        idp.claims["groups"] = groups
        client, arrived = sign_in(app)
        assert "failed=no_rights" in arrived
        assert client.get("/api/session").status_code == 401
    assert [account.user.name for account in app.state.accounts.accounts(app.state.database)] == ["ina"]


def test_who_lost_the_last_mapped_role_loses_open_sessions_too(
    make: Callable[..., FastAPI], idp: IdentityProvider
) -> None:
    app = make()
    client, _ = sign_in(app)
    assert client.get("/api/session").status_code == 200
    idp.claims["groups"] = ["golf"]
    assert "failed=no_rights" in sign_in(app)[1]
    assert client.get("/api/session").status_code == 401
    (left,) = [item.user for item in app.state.accounts.accounts(app.state.database) if item.user.provider]
    assert left.roles == frozenset()


FORGERIES: dict[str, Callable[[IdentityProvider, dict[str, Any]], dict[str, Any]]] = {
    "another audience": lambda _, claims: claims | {"aud": "another"},
    "two audiences, the other one authorised": lambda _, claims: (
        claims | {"aud": [CLIENT, "another"], "azp": "another"}
    ),
    "another issuer": lambda _, claims: claims | {"iss": "https://evil.example"},
    "expired": lambda _, claims: claims | {"exp": int(time.time()) - 120},
    "of tomorrow": lambda _, claims: claims | {"iat": int(time.time()) + 86400},
    "another nonce": lambda _, claims: claims | {"nonce": "x"},
    "no nonce": lambda _, claims: {name: value for name, value in claims.items() if name != "nonce"},
    "no expiry": lambda _, claims: {name: value for name, value in claims.items() if name != "exp"},
    "no subject": lambda _, claims: claims | {"sub": ""},
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_token_that_is_wrong_in_one_thing_is_refused(
    make: Callable[..., FastAPI], idp: IdentityProvider, forgery: str
) -> None:
    idp.twist = lambda claims: FORGERIES[forgery](idp, claims)
    client, arrived = sign_in(make())
    assert "failed=token_refused" in arrived
    assert client.get("/api/session").status_code == 401


def test_a_token_with_a_wrong_signature_is_refused(
    make: Callable[..., FastAPI], idp: IdentityProvider
) -> None:
    app = make()
    stranger = ECKey.generate_key("P-256", {"kid": idp.key.kid}, auto_kid=False)
    unknown = ECKey.generate_key("P-256", {"kid": "unknown"}, auto_kid=False)
    public = idp.key.as_pem(private=False)
    for signer in (
        lambda claims: idp.signed(claims, stranger),
        lambda claims: idp.signed(claims, unknown),
        idp.unsigned,
        # The public key, or the client's secret, taken as the secret of an HMAC.
        lambda claims: idp.signed(claims, OctKey.import_key(SECRET), "HS256"),
        lambda claims: idp.signed(claims, OctKey.import_key(public.hex()), "HS256"),
        lambda _: "not.a.token",
        lambda _: "",
    ):
        idp.signer = signer
        assert "failed=token_refused" in sign_in(app)[1]
    idp.signer = idp.signed
    assert sign_in(app)[1] == "/account"


def test_a_state_works_once_in_its_own_browser(make: Callable[..., FastAPI]) -> None:
    app = make()
    client = browser(app)
    address = way_back(client)
    # Somebody lures another browser to the finished address: it would be signed in as the first one.
    assert "failed=token_refused" in browser(app).get(address).headers["location"]
    assert "failed=token_refused" in client.get(address).headers["location"]
    address = way_back(client)
    assert client.get(address).headers["location"] == "/account"
    assert "failed=token_refused" in client.get(address).headers["location"]
    forged = way_back(client).replace("state=", "state=x")
    assert "failed=token_refused" in client.get(forged).headers["location"]
    mixed = way_back(client).partition("&iss=")[0] + "&iss=https%3A%2F%2Fevil.example"
    assert "failed=token_refused" in client.get(mixed).headers["location"]
    denied = way_back(client).replace("code=", "error=access_denied&nocode=")
    assert "failed=token_refused" in client.get(denied).headers["location"]
    away = client.get("/login/oidc/hospital", params={"next": "//evil.example"})
    back = httpx.get(away.headers["location"]).headers["location"]
    assert client.get(back).headers["location"] == "/"


def test_a_code_of_one_sign_in_does_not_finish_another(make: Callable[..., FastAPI]) -> None:
    app = make()
    stolen = parse_qs(urlsplit(way_back(browser(app))).query)["code"][0]
    client = browser(app)
    own = parse_qs(urlsplit(way_back(client)).query)["state"][0]
    answer = client.get("/login/oidc/hospital/return", params={"code": stolen, "state": own})
    assert "failed=token_refused" in answer.headers["location"]


def test_keys_that_changed_are_looked_up(make: Callable[..., FastAPI], idp: IdentityProvider) -> None:
    app = make()
    assert sign_in(app)[1] == "/account"
    reads = idp.key_reads
    assert sign_in(app)[1] == "/account"
    assert idp.key_reads == reads
    idp.rotate()
    assert sign_in(app)[1] == "/account"
    assert idp.key_reads == reads + 1


def test_a_provider_that_is_away_locks_nobody_else_out(
    make: Callable[..., FastAPI], idp: IdentityProvider, tmp_path: Path
) -> None:
    gone = IdentityProvider()
    gone.close()
    app = make(settings_of(gone, tmp_path, name="gone"))
    client = browser(app)
    assert "failed=provider_away" in client.get("/login/oidc/gone").headers["location"]
    assert "does not answer" in client.get("/login?failed=provider_away").text
    assert client.get("/login/oidc/nobody").status_code == 404
    for name, value in (("issuer", "https://evil.example"), ("token_endpoint", "http://evil.example/token")):
        idp.described = {name: value}
        assert "failed=provider_away" in client.get("/login/oidc/hospital").headers["location"]
    idp.described = {}
    address = way_back(client)
    idp.is_broken = True
    assert "failed=provider_away" in client.get(address).headers["location"]
    answer = client.post("/api/session", json={"username": "ina", "password": PASSWORD})
    assert answer.status_code == 200


def test_a_required_second_factor_has_to_be_proven(
    make: Callable[..., FastAPI], idp: IdentityProvider
) -> None:
    app = make(second_factor="required")
    for methods in (None, ["pwd"], "mfa", [7]):
        idp.claims["amr"] = methods
        assert sign_in(app)[1].startswith("/login?failed=")
    idp.claims["amr"] = ["pwd", "otp"]
    client, arrived = sign_in(app)
    assert arrived == "/account"
    assert client.get("/api/session").status_code == 200


def test_such_an_account_is_disabled_here_but_its_roles_come_from_there(make: Callable[..., FastAPI]) -> None:
    app = make()
    database, name = app.state.database, "dora-m-ller@hospital"
    client, _ = sign_in(app)
    ina = next(item.user for item in app.state.accounts.accounts(database) if item.user.name == "ina")
    grants = AccountGrants("node", app.state.audit)
    with pytest.raises(ExternalAccount):
        grants.change_roles(database, name, [Role.DPO], by=ina)
    with pytest.raises(ExternalAccount):
        grants.reset(database, name, by=ina)
    grants.set_enabled(database, name, enabled=False, by=ina)
    assert client.get("/api/session").status_code == 401
    assert "failed=account_disabled" in sign_in(app)[1]


def test_wrong_settings_stop_at_boot(idp: IdentityProvider, tmp_path: Path) -> None:
    for other in (
        {"issuer": "http://idp.example"},
        {"issuer": "https://user@idp.example"},
        {"roles": {"readers": ("emperor",)}},
        {"name": "Hospital/1"},
        {"surprise": 1},
    ):
        with pytest.raises(ValidationError):
            settings_of(idp, tmp_path, **other)
    twice = (settings_of(idp, tmp_path), settings_of(idp, tmp_path))
    with pytest.raises(ConfigurationError, match="same name"):
        install_providers(FastAPI(), twice, base_url=HERE)
