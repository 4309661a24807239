"""One HTTP/1.1 connection: the limit of its heads, the client's certificate, and a direct way for files."""

from __future__ import annotations

import functools
import ssl
from asyncio import BaseTransport
from typing import Any, Final, cast

import httptools
from starlette.requests import Request
from uvicorn._types import ASGI3Application
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from racoon.platform.http import direct, switching

EXTENSION = "racoon.peer_certificate"
"""Key in ``scope["extensions"]``; the value is the certificate in DER."""

HEAD_LIMIT_BYTES: Final = 1 << 16
"""Most bytes of a request line with its headers; the parser itself knows no limit."""


class HeadRefused(ValueError):
    """A request line with headers that is too long, or that asks for a tunnel."""


class ConnectionProtocol(HttpToolsProtocol):
    """uvicorn's HTTP/1.1 protocol on llhttp, with a limit, and with what only the connection knows in the scope.

    Over TLS it is the client's certificate: the server verified it against the listener's authority during the
    handshake, before any byte of HTTP; without a client certificate the extension is absent.  Over plain TCP it is
    the direct way for files (:mod:`racoon.platform.http.direct`).
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Remember what this connection offers to all its requests."""
        super().connection_made(transport)  # type: ignore[arg-type]  # asyncio's base is wider than uvicorn's
        self._bytes_besides_bodies = 0
        self._offer = ""
        self._certificate: bytes | None = None
        tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        self._is_plain = tls is None
        if tls is not None:
            self._certificate = tls.getpeercert(binary_form=True)

    def data_received(self, data: bytes) -> None:
        """Parse, unless a head (or what stands between the chunks of a body) has become too long."""
        self._unset_keepalive_if_required()
        self._bytes_besides_bodies += len(data)
        try:
            while data:
                data = self._parse(data)
        except httptools.HttpParserError:
            self.send_400_response("Invalid HTTP request received.")
            return
        if self._bytes_besides_bodies > HEAD_LIMIT_BYTES:
            self.send_400_response("Request head too long.")

    def _parse(self, data: bytes) -> bytes:
        """Return what is still to be parsed: after an offer of another protocol the request without that offer.

        Java's client offers HTTP/2 with its first request, and an offer may be ignored (RFC 9110, 7.8); the parser
        takes it for accepted, and what follows the head for something else than a body.  A route that knows the
        offered protocol may still accept it (:mod:`racoon.platform.http.switching`).
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as offer:
            line = self.parser.get_method() + b" " + self.url
            lines = [line + b" HTTP/" + self.parser.get_http_version().encode()]
            lines += [name + b": " + value for name, value in self.headers if name != b"upgrade"]
            self._offer = b",".join(value for name, value in self.headers if name == b"upgrade").decode(
                "latin-1"
            )
            self.parser = httptools.HttpRequestParser(self)
            return b"\r\n".join(lines) + b"\r\n\r\n" + data[offer.args[0] :]
        return b""

    def on_headers_complete(self) -> None:
        """Begin the request.

        Raises
        ------
        HeadRefused
            The parser ends the connection with 400.
        """
        if self.parser.get_method() == b"CONNECT":
            raise HeadRefused
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > HEAD_LIMIT_BYTES:
            raise HeadRefused
        if not self.parser.should_upgrade():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of a body."""
        self._bytes_besides_bodies = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request."""
        if not self.parser.should_upgrade():
            self._bytes_besides_bodies = 0
            super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP; an answer that is on its way to this client is cut, not mixed with another."""
        cycle: RequestResponseCycle | None = self.cycle
        if cycle is not None and cycle.response_started and not cycle.response_complete:
            self.transport.abort()
        else:
            super().send_400_response(msg)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        # The one place that knows which request an answer belongs to, also when a client sends several at once.
        extensions = cast("dict[str, Any]", cycle.scope.setdefault("extensions", {}))
        if self._is_plain:
            extensions[direct.EXTENSION] = functools.partial(direct.send_pieces, cycle)
        elif self._certificate:
            extensions[EXTENSION] = self._certificate
        if self._offer:
            extensions[switching.EXTENSION] = (
                self._offer,
                functools.partial(switching.switch_protocol, self, cycle),
            )
            self._offer = ""
        super()._start_asgi_task(cycle, app)


def peer_certificate(request: Request) -> bytes | None:
    """Return the client's verified certificate (DER), ``None`` on a listener that asks for none."""
    certificate: bytes | None = request.scope.get("extensions", {}).get(EXTENSION)
    return certificate
