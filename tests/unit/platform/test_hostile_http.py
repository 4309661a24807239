"""What a client may send instead of HTTP: the connection ends with 400, and the next client is served."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from fastapi import Request

from racoon.platform.http import Listener, create_app, serve_in_thread
from racoon.platform.http.peer import HEAD_LIMIT_BYTES


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    app = create_app("test", "0")

    @app.get("/where")
    async def where(request: Request) -> str:
        return request.url.query

    @app.post("/count")
    async def count(request: Request) -> int:
        return len(await request.body())

    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        yield listener.port


def ask(port: int, *parts: bytes) -> bytes:
    """Send all parts and return everything that comes back until the connection ends or falls silent."""
    received = bytearray()
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        try:
            for part in parts:
                client.sendall(part)
            client.settimeout(2)
            while data := client.recv(1 << 16):
                received += data
        except (TimeoutError, ConnectionError):
            pass
    return bytes(received)


def get(address: str = "/where?a", *headers: str, close: bool = True) -> bytes:
    lines = [
        f"GET {address} HTTP/1.1",
        "Host: localhost",
        *headers,
        *(["Connection: close"] if close else []),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


LONG = b"x" * HEAD_LIMIT_BYTES

REFUSED = {
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS at a plain port\r\n\r\n",),
    "garbage": (b"hello\r\n\r\n",),
    "two lengths": (
        b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "negative length": (b"POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: -3\r\n\r\nabc",),
    "folded header": (b"GET /where HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",),
    "space before the colon": (b"GET /where HTTP/1.1\r\nHost : a\r\n\r\n",),
    "zero byte in a header": (b"GET /where HTTP/1.1\r\nHost: a\x00b\r\n\r\n",),
    "letters outside ASCII in the address": ("GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".encode(),),
    "no address": (b"GET HTTP/1.1\r\nHost: a\r\n\r\n",),
    "a tunnel": (b"CONNECT localhost:80 HTTP/1.1\r\nHost: a\r\n\r\n",),
    "bad size of a chunk": (
        b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n",
    ),
    "long address": (b"GET /", LONG, b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "long header": (b"GET / HTTP/1.1\r\nX: ", LONG, b"\r\n\r\n"),
    "header without end": (b"GET / HTTP/1.1\r\nX: ", *[b"x" * 1000] * 100),
    "many headers": (b"GET / HTTP/1.1\r\n", b"a: b\r\n" * 15_000, b"\r\n"),
    "all at once": (b"GET / HTTP/1.1\r\nX: " + LONG + b"\r\n\r\n",),
    "endless extension of a chunk": (
        b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        *[b"x" * 1000] * 100,
    ),
    "endless trailer": (
        b"POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
        *[b"x" * 1000] * 100,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_is_refused_and_the_next_client_is_served(
    port: int, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    answer = ask(port, *REFUSED[name])
    # A client that goes on sending to a closed connection may lose the answer to a reset (RFC 9112, 9.6).
    assert answer.startswith(b"HTTP/1.1 400 ") or (not answer and len(REFUSED[name]) > 1)
    assert "Traceback" not in caplog.text
    assert ask(port, get()).endswith(b'"a"')


def test_several_requests_at_once_are_answered_in_order(port: int) -> None:
    sent = b"".join(get(f"/where?{number}", close=number == 4) for number in range(5))
    bodies = [part.rsplit(b"\r\n\r\n", 1)[-1] for part in ask(port, sent).split(b"HTTP/1.1 200 OK")[1:]]
    assert bodies == [b'"%d"' % number for number in range(5)]


def test_a_small_head_in_single_bytes_is_understood(port: int) -> None:
    assert ask(port, *[bytes([byte]) for byte in get()]).endswith(b'"a"')


@pytest.mark.parametrize("chunk_bytes", [7, 60_000])
def test_a_long_body_in_chunks_is_no_long_head(port: int, chunk_bytes: int) -> None:
    chunk = b"%x\r\n" % chunk_bytes + b"y" * chunk_bytes + b"\r\n"
    count = 300_000 // chunk_bytes
    head = b"POST /count HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert ask(port, head, chunk * count, b"0\r\n\r\n").endswith(b"\r\n\r\n%d" % (count * chunk_bytes))


def test_an_offer_of_http_2_is_ignored_and_the_body_is_kept(port: int) -> None:
    """Java's client offers h2c with its first request; the same connection goes on with HTTP/1.1 (RFC 9110, 7.8)."""
    offer = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    first = b"POST /count HTTP/1.1\r\nHost: a\r\n" + offer + b"Content-Length: 5\r\n\r\nabcde"
    second = b"GET /where?next HTTP/1.1\r\nHost: a\r\n" + offer + b"\r\n"
    with socket.create_connection(("127.0.0.1", port), 20) as client:
        for sent, body in ((first, b"5"), (second, b'"next"'), (first, b"5")):
            client.sendall(sent)
            answer = b""
            while not answer.endswith(b"\r\n\r\n" + body):
                part = client.recv(1 << 16)
                assert part, answer
                answer += part
            assert answer.startswith(b"HTTP/1.1 200 ")


def test_http_1_0_is_answered_and_closed(port: int) -> None:
    assert ask(port, b"GET /where?old HTTP/1.0\r\n\r\n").endswith(b'"old"')
