"""Who is at the other end of a TLS connection: hands the client's certificate to the application."""

from __future__ import annotations

import ssl
from asyncio import BaseTransport
from typing import cast

from starlette.requests import Request
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

EXTENSION = "racoon.peer_certificate"
"""Key in ``scope["extensions"]``; the value is the certificate in DER."""


class PeerCertificateProtocol(H11Protocol):
    """uvicorn's HTTP/1.1 protocol that also puts the client's certificate into the scope.

    The server verified the certificate against the listener's authority during the handshake, before any byte
    of HTTP; without a client certificate the extension is absent.
    """

    def connection_made(self, transport: BaseTransport) -> None:
        """Remember the certificate of this connection for all its requests."""
        super().connection_made(transport)  # type: ignore[arg-type]
        tls = cast("ssl.SSLObject | None", transport.get_extra_info("ssl_object"))
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        if not certificate:
            return
        inner = self.app

        async def with_peer(scope: Scope, receive: Receive, send: Send) -> None:
            scope.setdefault("extensions", {})[EXTENSION] = certificate
            await inner(scope, receive, send)

        self.app = with_peer


def peer_certificate(request: Request) -> bytes | None:
    """Return the client's verified certificate (DER), ``None`` on a listener that asks for none."""
    certificate: bytes | None = request.scope.get("extensions", {}).get(EXTENSION)
    return certificate
