"""Sign in at an identity provider that others wrote (``oidc-provider-mock``), as a process of its own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.platform.auth import install_accounts
from racoon.platform.auth.oidc import install_providers
from racoon.platform.auth.oidc.settings import ProviderSettings
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app

HERE = "http://testserver"


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    person = json.dumps({"sub": "s-1", "groups": ["readers"], "amr": ["mfa"]})
    # It still uses a module of Authlib that warns; that is its affair.
    command = [sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--require-nonce", "true"]
    with subprocess.Popen(
        [*command, "--port", str(port), "--user-claims", person],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "running on" in line:
                break
        yield f"http://127.0.0.1:{port}"
        process.terminate()


def test_a_foreign_provider_signs_people_in(issuer: str, tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path}/central.sqlite")
    create_all(database, "central")
    app = create_app("central", "0", login_path="/login")
    install_accounts(app, "central", database, second_factor="required")
    (tmp_path / "secret").write_text("any", encoding="utf-8")
    provider = ProviderSettings(
        name="foreign",
        title="Foreign",
        issuer=issuer,
        client_id="racoon",
        client_secret_file=tmp_path / "secret",
        client_auth="client_secret_post",
        roles={"readers": (Role.RESEARCHER,)},
    )
    install_providers(app, [provider], base_url=HERE)
    client = TestClient(app, base_url=HERE, follow_redirects=False)
    for subject, expected in (("s-1", "/"), ("s-2", "/login?failed=no_rights&next=/")):
        away = client.get("/login/oidc/foreign").headers["location"]
        assert urlsplit(away).path == "/oauth2/authorize"
        back = httpx.post(away, data={"sub": subject}).headers["location"]
        assert client.get(back).headers["location"] == expected
    assert client.get("/api/session").json()["roles"] == ["researcher"]
    database.dispose()
