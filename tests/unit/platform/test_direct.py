"""Files that go straight from the page cache to the socket: every byte once, however the client behaves."""

from __future__ import annotations

import contextlib
import http.client
import io
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest
from starlette.testclient import TestClient

from racoon.platform.http import create_app
from racoon.platform.http.direct import Piece, PiecesResponse
from racoon.platform.http.serving import Listener, serve_in_thread
from tests.waiting import eventually

LARGE = secrets.token_bytes(9_000_000)


class Watched(io.BytesIO):
    """A stream without a descriptor, as a bucket's, that tells when it was closed."""


@pytest.fixture
def opened() -> list[BinaryIO]:
    return []


@pytest.fixture
def port(tmp_path: Path, opened: list[BinaryIO]) -> Iterator[int]:
    """A server of three bodies: files and bytes mixed, a stream without a file, and two of another length than said."""
    path = tmp_path / "large"
    path.write_bytes(LARGE)
    app = create_app("test", "0")

    def mixed() -> Iterator[Piece]:
        yield b"head"
        for _ in range(3):
            opened.append(path.open("rb"))
            yield opened[-1]
            yield b"between"

    @app.get("/mixed")
    def answer_mixed() -> PiecesResponse:
        return PiecesResponse(mixed(), 4 + 3 * (len(LARGE) + 7), media_type="application/octet-stream")

    @app.get("/stream")
    def answer_stream() -> PiecesResponse:
        opened.append(Watched(LARGE))
        return PiecesResponse(iter([b"head", opened[-1]]), 4 + len(LARGE))

    @app.get("/short")
    def answer_short() -> PiecesResponse:
        return PiecesResponse(iter([b"head"]), 5)

    @app.get("/long")
    def answer_long() -> PiecesResponse:
        return PiecesResponse(iter([b"head"]), 3)

    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield listener.port


MIXED = b"head" + 3 * (LARGE + b"between")


def test_files_and_bytes_arrive_in_order_and_the_connection_goes_on(
    port: int, opened: list[BinaryIO]
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for address, body in (("/mixed", MIXED), ("/stream", b"head" + LARGE), ("/mixed", MIXED)):
        connection.request("GET", address)
        answer = connection.getresponse()
        assert answer.headers["Content-Length"] == str(len(body))
        assert answer.read() == body
    connection.close()
    assert all(stream.closed for stream in opened)


def test_a_slow_client_holds_no_thread(port: int) -> None:
    """Sixty clients that read nothing, more than the pool has threads; one that reads is still served."""
    waiting = []
    for _ in range(60):
        client = socket.create_connection(("127.0.0.1", port), 20)
        client.sendall(b"GET /mixed HTTP/1.1\r\nHost: localhost\r\n\r\n")
        waiting.append(client)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", "/mixed")
    assert connection.getresponse().read() == MIXED
    connection.close()
    received = bytearray()
    while len(received) < len(MIXED):
        received += waiting[0].recv(1 << 20)
    assert received.endswith(MIXED)
    for client in waiting:
        client.close()


def test_a_client_that_goes_away_leaves_nothing_open(port: int, opened: list[BinaryIO]) -> None:
    client = socket.create_connection(("127.0.0.1", port), 20)
    client.sendall(b"GET /mixed HTTP/1.1\r\nHost: localhost\r\n\r\n")
    client.recv(1000)
    client.close()
    eventually(lambda: bool(opened) and all(stream.closed for stream in opened))


@pytest.mark.parametrize("address", ["/short", "/long"])
def test_a_body_of_another_length_ends_the_connection(port: int, address: str) -> None:
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        client.sendall(f"GET {address} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        with contextlib.suppress(ConnectionResetError):
            while client.recv(1000):
                pass


def test_elsewhere_the_same_body_is_streamed() -> None:
    """A server without the extension, as over TLS."""
    app = create_app("test", "0")

    @app.get("/")
    def answer() -> PiecesResponse:
        return PiecesResponse(iter([b"head", io.BytesIO(LARGE)]), 4 + len(LARGE))

    with TestClient(app) as client:
        assert client.get("/").content == b"head" + LARGE
