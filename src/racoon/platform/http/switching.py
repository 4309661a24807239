"""A connection that leaves HTTP: after the answer 101 its bytes belong to the route that asked for it.

The request passes every guard like any other; only then is the connection handed over (RFC 9110, 7.8).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

if TYPE_CHECKING:
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

EXTENSION = "racoon.switch_protocol"
"""Key in ``scope["extensions"]``, there when the client offered another protocol."""

READ_AHEAD = 1 << 18
"""Bytes read ahead of the route before the connection is told to wait."""

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Switch = Callable[[str, Mapping[str, str]], Awaitable[Connection]]


def offered(request: Request) -> str:
    """Return the name of the protocol that the client offers; empty when it offers none."""
    found = request.scope.get("extensions", {}).get(EXTENSION)
    return str(found[0]) if found else ""


class SwitchedResponse(Response):
    """Answers 101 and hands the connection to a function until that returns; then the connection ends.

    Parameters
    ----------
    protocol
        Name of the protocol, one that the client offered.
    headers
        Further headers of the answer.
    carry
        Speaks the protocol.
    """

    def __init__(
        self,
        protocol: str,
        headers: Mapping[str, str],
        carry: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]],
    ) -> None:
        super().__init__(status_code=101)
        self._protocol, self._more, self._carry = protocol, headers, carry

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Switch, carry, close."""
        switch = cast("Switch", scope["extensions"][EXTENSION][1])
        reader, writer = await switch(self._protocol, self._more)
        # The server writes nothing any more; this only tells the status to whoever counts.
        await send({"type": "http.response.start", "status": 101, "headers": []})
        try:
            await self._carry(reader, writer)
        finally:
            writer.close()


async def switch_protocol(
    http: HttpToolsProtocol, cycle: RequestResponseCycle, name: str, headers: Mapping[str, str]
) -> Connection:
    """Answer 101 and take a connection out of the HTTP server.

    Parameters
    ----------
    http, cycle
        The server's connection and its present request.
    name, headers
        Protocol and further headers of the answer.
    """
    transport = cycle.transport
    # For the server the client is gone: it neither answers nor closes nor counts this connection.
    cycle.disconnected = True
    http.connections.discard(http)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=READ_AHEAD, loop=loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    writer = asyncio.StreamWriter(transport, protocol, reader, loop)
    lines = ["HTTP/1.1 101 Switching Protocols", "connection: upgrade", f"upgrade: {name}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
    await writer.drain()
    return reader, writer
