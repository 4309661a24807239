"""The node's line to CENTRAL with real processes: through a forward proxy, and over the life of certificates."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import tomli_w

from racoon.client import CentralClient
from racoon.platform.certificates import fingerprint
from tests.waiting import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

SITE = "ALPHA"
PASSWORD = "a long enough password"
CERTIFICATE_S = 36.0
"""Lifetime in the test: renewed after 24 s, expired after 36 s."""


class ForwardProxy:
    """An HTTP proxy that knows ``CONNECT`` only, as hospitals run them; remembers where it was asked to go."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.targets: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        for item in [self._listener, *self._open]:
            item.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            more = client.recv(1)
            if not more:
                return
            head += more
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if method != "CONNECT":
            client.sendall(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n")
            return
        self.targets.append(target)
        host, port = target.rsplit(":", 1)
        with socket.create_connection((host, int(port))) as server:
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            pair = {client: server, server: client}
            try:
                while True:
                    for ready in select.select(list(pair), [], [], 60)[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        pair[ready].sendall(data)
            except (OSError, ValueError):
                return


@contextmanager
def running(role: str, config: Path, **environment: str) -> Iterator[None]:
    """Run ``racoon central serve`` or ``racoon node serve`` until the block ends."""
    command = [sys.executable, "-m", "racoon", role, "serve", "--config", str(config)]
    with (config.parent / f"{role}.log").open("ab") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, **environment}
        )
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def write_configurations(folder: Path, ports: list[int], certificate_s: float) -> tuple[Path, Path]:
    """Write the two TOML files an operator would write."""
    central = {
        "data_directory": str(folder / "central"),
        "certificate_days": certificate_s / 86400,
        "heartbeat_s": 1,
        "people": {"port": ports[0]},
        "nodes": {"port": ports[1]},
        "account": {"username": "admin", "password": PASSWORD},
    }
    node = {
        "site": SITE,
        "data_directory": str(folder / "node"),
        "heartbeat_s": 1,
        "http": {"port": ports[2]},
        "dicom": {"port": ports[3], "ae_title": SITE},
    }
    paths = folder / "central.toml", folder / "node.toml"
    for path, document in zip(paths, (central, node), strict=True):
        path.write_text(tomli_w.dumps(document), encoding="utf-8")
    return paths


@contextmanager
def network(folder: Path, ports: list[int], certificate_s: float, **environment: str) -> Iterator[None]:
    """CENTRAL and one enrolled node."""
    central, node = write_configurations(folder, ports, certificate_s)
    with running("central", central):
        with CentralClient(f"http://127.0.0.1:{ports[0]}") as people:
            eventually(lambda: _is_open(ports[0]), timeout_s=40, what="CENTRAL listens")
            people.login("admin", PASSWORD)
            people.add_site(SITE, "Hospital", "Town")
            code = people.join_code(SITE)
        enrol = [sys.executable, "-m", "racoon", "node", "enrol", "--config", str(node), "--join-code", code]
        subprocess.run(
            [*enrol, "--json"], check=True, env={**os.environ, **environment}, stdout=subprocess.DEVNULL
        )
        with running("node", node, **environment):
            yield


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def rows(folder: Path, query: str) -> list[tuple[str, ...]]:
    """Read CENTRAL's database beside it."""
    with closing(sqlite3.connect(f"file:{folder / 'central' / 'central.sqlite'}?mode=ro", uri=True)) as base:
        return base.execute(query).fetchall()


def beats(folder: Path) -> list[tuple[str, ...]]:
    """When the last heartbeat arrived."""
    return rows(folder, "SELECT received_at FROM site_heartbeat")


def test_node_speaks_through_a_forward_proxy_alone(tmp_path: Path, free_ports: list[int]) -> None:
    proxy = ForwardProxy()
    try:
        with network(tmp_path, free_ports, 90 * 86400, HTTPS_PROXY=proxy.url, NO_PROXY=""):
            eventually(lambda: beats(tmp_path), timeout_s=40, what="a heartbeat")
            eventually(
                lambda: rows(tmp_path, "SELECT hash FROM audit_anchor"),
                timeout_s=20,
                what="the head of the node's audit chain",
            )
    finally:
        proxy.close()
    assert set(proxy.targets) == {f"127.0.0.1:{free_ports[1]}"}


def test_node_renews_its_certificate_and_outlives_the_first(tmp_path: Path, free_ports: list[int]) -> None:
    with network(tmp_path, free_ports, CERTIFICATE_S):
        first = fingerprint((tmp_path / "node" / "identity" / "node.pem").read_text())
        eventually(lambda: beats(tmp_path), timeout_s=40, what="a heartbeat")
        certificates = "SELECT fingerprint FROM site_certificate ORDER BY issued_at"
        eventually(
            lambda: len(rows(tmp_path, certificates)) >= 3,
            timeout_s=120,
            what="two renewals, one lifetime over",
        )
        before = beats(tmp_path)
        eventually(
            lambda: beats(tmp_path) > before, timeout_s=30, what="a heartbeat with a later certificate"
        )
        issued = [row[0] for row in rows(tmp_path, certificates)]
        assert issued[0] == first
        assert len(issued) == len(set(issued)) <= 5
        renewals = rows(tmp_path, "SELECT details FROM audit WHERE action = 'site.renew'")
        assert [json.loads(row[0])["fingerprint"] for row in renewals] == issued[1:]
