"""What the application may ask of its connection: the client's certificate, and a direct way for files."""

from __future__ import annotations

import functools
import ssl
from asyncio import BaseTransport
from typing import Any, cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from racoon.platform.http import direct

EXTENSION = "racoon.peer_certificate"
"""Key in ``scope["extensions"]``; the value is the certificate in DER."""


class ConnectionProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol that also puts into the scope what only the connection knows.

    Over TLS it is the client's certificate: the server verified it against the listener's authority during the
    handshake, before any byte of HTTP; without a client certificate the extension is absent.  Over plain TCP it is
    the direct way for files (:mod:`racoon.platform.http.direct`).
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Remember what this connection offers to all its requests."""
        super().connection_made(transport)  # type: ignore[arg-type]  # asyncio's base is wider than uvicorn's
        extensions: dict[str, Any] = {}
        tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        if tls is None:
            extensions[direct.EXTENSION] = functools.partial(direct.send_pieces, self)
        elif certificate := tls.getpeercert(binary_form=True):
            extensions[EXTENSION] = certificate
        inner = self.app

        async def with_extensions(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {}).update(extensions)
            await inner(scope, receive, send)

        self.app = with_extensions


def peer_certificate(request: Request) -> bytes | None:
    """Return the client's verified certificate (DER), ``None`` on a listener that asks for none."""
    certificate: bytes | None = request.scope.get("extensions", {}).get(EXTENSION)
    return certificate
