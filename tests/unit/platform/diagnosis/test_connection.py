"""Clock, certificates, the firewall rule, and what comes back from CENTRAL."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from racoon.platform.diagnosis.connection import (
    LARGEST_SKEW,
    check_central,
    check_certificate,
    check_clock,
    firewall_rule,
)

NOON = datetime(2026, 4, 20, 12, tzinfo=UTC)


@given(seconds=st.integers(min_value=-100_000, max_value=100_000))
def test_clock_is_a_problem_exactly_beyond_the_limit(seconds: int) -> None:
    finding = check_clock(NOON, NOON + timedelta(seconds=seconds))
    assert (finding.state == "problem") == (abs(seconds) > LARGEST_SKEW.total_seconds())
    if finding.state == "problem":
        assert ("ahead of" in finding.message) == (seconds > 0)


@pytest.mark.parametrize(
    ("url", "proxy", "expected"),
    [
        ("https://central.example", None, "central.example port 443"),
        ("https://central.example:8501/x", None, "central.example port 8501"),
        ("https://central.example", "http://proxy.example:3128", "proxy.example port 3128"),
    ],
)
def test_firewall_rule_names_host_and_port(url: str, proxy: str | None, expected: str) -> None:
    assert expected in firewall_rule(url, proxy)
    assert "nothing incoming" in firewall_rule(url, proxy)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "ALPHA")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOON - timedelta(days=1))
        .not_valid_after(NOON + timedelta(days=90))
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "node.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return file


@pytest.mark.parametrize(("day", "state"), [(0, "ok"), (75, "ok"), (77, "warning"), (91, "problem")])
def test_certificate_ages(certificate: Path, day: int, state: str) -> None:
    finding = check_certificate("node", certificate, "enrol again", NOON + timedelta(days=day))
    assert finding.state == state


def test_broken_certificate_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "node.pem").write_text("nothing of the kind")
    assert check_certificate("node", tmp_path / "node.pem", "enrol again").state == "problem"


class Central(BaseHTTPRequestHandler):
    """Answers like CENTRAL's health page; as a proxy it answers for any address it is asked for."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()

    def log_message(self, *words: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def server() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Central) as listener:
        thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{listener.server_port}"
        listener.shutdown()
        thread.join()


def test_reached_central_gives_its_time(server: str) -> None:
    direct, proxy, clock = check_central(server)
    assert (direct.state, proxy.state, clock.state) == ("ok", "skipped", "ok")


def test_unreachable_central_prints_the_rule_to_ask_for(free_ports: list[int]) -> None:
    direct, _, clock = check_central(f"https://127.0.0.1:{free_ports[0]}")
    assert direct.state == "problem"
    assert f"127.0.0.1 port {free_ports[0]}" in direct.next_step
    assert clock.state == "skipped"


def test_proxy_is_used_where_the_direct_way_is_closed(
    server: str, free_ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", server)
    direct, proxy, clock = check_central(f"http://127.0.0.1:{free_ports[0]}")
    assert (direct.state, proxy.state, clock.state) == ("skipped", "ok", "ok")


def test_dead_proxy_is_named_as_the_thing_to_open(
    server: str, free_ports: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{free_ports[0]}")
    _, proxy, _ = check_central(server)
    assert proxy.state == "problem"
    assert f"port {free_ports[0]}" in proxy.next_step
