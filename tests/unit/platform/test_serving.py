"""Listeners: real TLS with and without client certificates, occupied ports, graceful stop, renewal."""

from __future__ import annotations

import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from racoon.platform.certificates import (
    CertificateAuthority,
    TlsFiles,
    common_name,
    fingerprint,
    load_or_create_key,
    make_request,
)
from racoon.platform.http import Listener, PortInUse, create_app, peer_certificate, serve, serve_in_thread
from racoon.platform.settings import ConfigurationError
from tests.waiting import eventually


@pytest.fixture
def authority(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority.load_or_create(tmp_path / "authority")


@pytest.fixture
def server_files(tmp_path: Path, authority: CertificateAuthority) -> TlsFiles:
    return authority.issue_server(tmp_path / "server", ["localhost", "127.0.0.1"])


def _client_files(authority: CertificateAuthority, folder: Path, name: str) -> tuple[str, str]:
    key = load_or_create_key(folder / f"{name}.key")
    (folder / f"{name}.pem").write_bytes(authority.sign_request(make_request(key, "ignored"), name))
    return str(folder / f"{name}.pem"), str(folder / f"{name}.key")


def _context(server_files: TlsFiles, client: tuple[str, str] | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(server_files.authority))
    # What Python 3.13 asks for by default: our certificates must pass the strict check of RFC 5280.
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    if client is not None:
        context.load_cert_chain(*client)
    return context


def _app() -> FastAPI:
    app = create_app("Test", "1")

    @app.get("/who")
    def who(request: Request) -> dict[str, str | None]:
        certificate = peer_certificate(request)
        if certificate is None:
            return {"name": None, "fingerprint": None}
        return {"name": common_name(certificate), "fingerprint": fingerprint(certificate)}

    return app


def test_peer_certificate_reaches_the_application(
    tmp_path: Path, authority: CertificateAuthority, server_files: TlsFiles
) -> None:
    app = _app()
    people = Listener(app, "127.0.0.1", 0, server_files, name="people")
    nodes = Listener(app, "127.0.0.1", 0, server_files, client_certificate=True, name="nodes")
    alpha, bravo = (_client_files(authority, tmp_path, name) for name in ("ALPHA", "BRAVO"))
    with serve_in_thread([people, nodes]):
        for files, name in ((alpha, "ALPHA"), (bravo, "BRAVO")):
            with httpx.Client(verify=_context(server_files, files), trust_env=False) as client:
                for _ in range(2):
                    answer = client.get(f"https://localhost:{nodes.port}/who").json()
                    assert answer == {"name": name, "fingerprint": fingerprint(Path(files[0]))}
        with httpx.Client(verify=_context(server_files), trust_env=False) as client:
            assert client.get(f"https://127.0.0.1:{people.port}/who").json()["name"] is None
            assert "strict-transport-security" in client.get(f"https://127.0.0.1:{people.port}/who").headers


def test_node_listener_refuses_no_and_foreign_certificates(
    tmp_path: Path, authority: CertificateAuthority, server_files: TlsFiles
) -> None:
    foreign = CertificateAuthority.load_or_create(tmp_path / "foreign")
    stranger = _client_files(foreign, tmp_path, "STRANGER")
    nodes = Listener(_app(), "127.0.0.1", 0, server_files, client_certificate=True)
    with serve_in_thread([nodes]):
        for files in (None, stranger):
            with (
                httpx.Client(verify=_context(server_files, files), trust_env=False) as client,
                pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)),
            ):
                client.get(f"https://localhost:{nodes.port}/who")


def test_header_cannot_forge_a_certificate(server_files: TlsFiles) -> None:
    listener = Listener(_app(), "127.0.0.1", 0)
    with serve_in_thread([listener]), httpx.Client(trust_env=False) as client:
        headers = {"racoon.peer_certificate": "x", "x-forwarded-for": "10.0.0.1", "x-ssl-cert": "x"}
        answer = client.get(f"http://127.0.0.1:{listener.port}/who", headers=headers)
        assert answer.json()["name"] is None


def test_occupied_port_says_what_to_do() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortInUse, match=f"port {port} on 127.0.0.1 is in use"):
            serve([Listener(_app(), "127.0.0.1", port)])


def test_unusable_tls_files_are_a_configuration_error(tmp_path: Path, server_files: TlsFiles) -> None:
    wrong = TlsFiles(server_files.certificate, tmp_path / "missing.key")
    with pytest.raises(ConfigurationError, match="cannot be used"):
        serve([Listener(_app(), "127.0.0.1", 0, wrong)])
    without = TlsFiles(server_files.certificate, server_files.key)
    with pytest.raises(ConfigurationError, match="authority"):
        serve([Listener(_app(), "127.0.0.1", 0, without, client_certificate=True)])


def test_stop_ends_long_polls() -> None:
    app, asked = _app(), threading.Event()

    @app.get("/asked")
    async def slow(request: Request) -> str:
        asked.set()
        await request.app.state.stopping.wait()
        return "stopped"

    listener = Listener(app, "127.0.0.1", 0)
    answers: list[str] = []
    with serve_in_thread([listener]):

        def poll() -> None:
            answers.append(httpx.get(f"http://127.0.0.1:{listener.port}/asked", trust_env=False).json())

        thread = threading.Thread(target=poll)
        thread.start()
        asked.wait(10)
        time_before = time.monotonic()
    thread.join(10)
    assert answers == ["stopped"]
    assert time.monotonic() - time_before < 5


def test_renewed_certificate_is_used_without_a_restart(
    tmp_path: Path, authority: CertificateAuthority, server_files: TlsFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racoon.platform.http.serving.CERTIFICATE_CHECK_S", 0.05)
    listener = Listener(_app(), "127.0.0.1", 0, server_files)

    def shown() -> str:
        context = _context(server_files)
        with (
            socket.create_connection(("127.0.0.1", listener.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as tls,
        ):
            return fingerprint(tls.getpeercert(binary_form=True) or b"")

    with serve_in_thread([listener]):
        before = shown()
        authority.issue_server(tmp_path / "server", ["localhost", "127.0.0.1"])
        eventually(lambda: shown() != before)
        assert shown() == fingerprint(server_files.certificate)


def test_sigterm_stops_the_process() -> None:
    code = (
        "from racoon.platform.http import *\n"
        "serve([Listener(create_app('T', '1'), '127.0.0.1', 0)], lambda: print('ready', flush=True))\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        process.terminate()
        assert process.wait(10) == 0
