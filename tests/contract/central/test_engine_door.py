"""The training engine's door on the nodes' port, over real TLS: who gets through, how far, and what comes through."""

from __future__ import annotations

import hashlib
import random
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress

import httpx
import psutil
import pytest

from racoon.central.relay.engine_door import STREAMS_PER_SITE
from racoon.platform.streams import PROTOCOL
from tests.one_port import OnePort
from tests.waiting import eventually

pytestmark = pytest.mark.timeout(25)

NAME = "0" * 32


class Echo:
    """Stands where the engine listens; gives back what it gets."""

    def __init__(self) -> None:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.listener.getsockname()[1])
        self.peers: list[socket.socket] = []
        self.holds = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            self.peers.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            while data := client.recv(1 << 16):
                while self.holds.is_set():
                    threading.Event().wait(0.05)
                client.sendall(data)
        except OSError:
            pass
        client.close()

    def close(self) -> None:
        for item in [self.listener, *self.peers]:
            item.close()


@pytest.fixture(scope="module")
def engine() -> Iterator[Echo]:
    echo = Echo()
    yield echo
    echo.close()


@pytest.fixture(scope="module")
def central(tmp_path_factory: pytest.TempPathFactory, engine: Echo) -> Iterator[OnePort]:
    one_port = OnePort(tmp_path_factory.mktemp("door"), engine.port)
    with one_port.serving(["ALPHA", "BRAVO"]):
        one_port.start_run("run-1", ["ALPHA"])
        yield one_port


def _ask(central: OnePort, site: str, name: str = NAME, **changed: str) -> httpx.Response:
    headers = {"Connection": "Upgrade", "Upgrade": PROTOCOL} | changed
    with httpx.Client(verify=central.identities[site].ssl_context(), trust_env=False) as client:
        url = f"https://127.0.0.1:{central.port}/node/v1/engine/streams/{name}"
        with client.stream("GET", url, params={"received": 0}, headers=headers) as answer:
            if answer.status_code != 101:
                answer.read()
            return answer


def _echo(port: int, data: bytes) -> str:
    digest = hashlib.sha256()
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(60)
        threading.Thread(target=client.sendall, args=(data,), daemon=True).start()
        left = len(data)
        while left:
            piece = client.recv(1 << 16)
            assert piece, "ended early"
            digest.update(piece)
            left -= len(piece)
    return digest.hexdigest()


def test_bytes_come_through_exactly_and_are_counted(central: OnePort) -> None:
    data = random.Random(1).randbytes(20_000_003)
    with central.line("ALPHA") as line:
        assert _echo(line.open(), data) == hashlib.sha256(data).hexdigest()
        assert line.bytes_carried == {"in": len(data), "out": len(data)}
    eventually(lambda: not central.door.streams(), timeout_s=10, what="no stream left")
    assert central.door.bytes_carried["in"] >= len(data)
    text = httpx.get(f"{central.network.settings.people_url}/metrics", trust_env=False).text
    assert 'racoon_engine_stream_bytes{direction="in"}' in text


def test_a_site_without_a_training_is_refused(central: OnePort) -> None:
    answer = _ask(central, "BRAVO")
    assert answer.status_code == 403
    assert answer.json()["code"] == "relay.not_taking_part"
    with central.line("BRAVO") as line, socket.create_connection(("127.0.0.1", line.open())) as client:
        client.settimeout(10)
        client.sendall(b"hello")
        assert client.recv(1) == b""


def test_without_a_certificate_there_is_no_answer(central: OnePort) -> None:
    with pytest.raises(httpx.HTTPError):
        httpx.get(
            f"https://127.0.0.1:{central.port}/node/v1/engine/streams/{NAME}", verify=False, trust_env=False
        )


def test_another_protocol_is_refused(central: OnePort) -> None:
    assert _ask(central, "ALPHA", Upgrade="websocket").json()["code"] == "relay.no_stream"
    assert _ask(central, "ALPHA", name="..").status_code in {404, 422}


def test_a_stream_that_has_ended_is_not_begun_again(central: OnePort) -> None:
    url = f"https://127.0.0.1:{central.port}/node/v1/engine/streams/{'1' * 32}"
    with httpx.Client(verify=central.identities["ALPHA"].ssl_context(), trust_env=False) as client:
        headers = {"Connection": "Upgrade", "Upgrade": PROTOCOL}
        answer = client.get(url, params={"received": 0, "is_known": "true"}, headers=headers)
    assert answer.status_code == 404
    assert answer.json()["code"] == "relay.stream_gone"


def test_the_streams_of_a_site_are_limited(central: OnePort) -> None:
    with central.line("ALPHA") as line:
        clients = [socket.create_connection(("127.0.0.1", line.open())) for _ in range(STREAMS_PER_SITE)]
        eventually(
            lambda: central.door.streams().get("ALPHA") == STREAMS_PER_SITE, timeout_s=30, what="all streams"
        )
        assert _ask(central, "ALPHA").json()["code"] == "relay.too_many_streams"
        for client in clients:
            client.close()
    eventually(lambda: not central.door.streams(), timeout_s=30, what="no stream left")


def test_an_engine_that_does_not_read_holds_the_site_up(central: OnePort, engine: Echo) -> None:
    process = psutil.Process()
    engine.holds.set()
    try:
        with central.line("ALPHA") as line, socket.create_connection(("127.0.0.1", line.open())) as client:
            client.settimeout(3)
            before, sent = process.memory_info().rss, 0
            with suppress(TimeoutError):
                while sent < 300 << 20:
                    sent += client.send(bytes(1 << 16))
            assert process.memory_info().rss - before < 80 << 20
            assert sent < 80 << 20
    finally:
        engine.holds.clear()


def test_a_new_training_opens_and_its_end_closes(central: OnePort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("racoon.central.relay.engine_door.LOOK_S", 0.2)
    central.start_run("run-2", ["BRAVO"])
    with central.line("BRAVO") as line, socket.create_connection(("127.0.0.1", line.open())) as client:
        client.settimeout(20)
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        central.cancel_run("run-2")
        assert client.recv(1) == b""
    assert _ask(central, "BRAVO").status_code == 403
