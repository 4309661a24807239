"""The training engine's door on the nodes' one port: bytes between a site that takes part in a run and one address.

The engine's own mutual TLS goes through unopened.  Nothing but the engine's port of this machine can be reached, and
by nobody but an enrolled site while a federated training asks for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Final

from fastapi import APIRouter, FastAPI, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import Response

from racoon.errors import Refused, Unavailable
from racoon.platform.http.switching import SwitchedResponse, offered
from racoon.platform.streams import KEEP_S, PIECE, PROTOCOL, RECEIVED, BadFrames, Stream

_log = logging.getLogger(__name__)

CONNECT_S: Final = 5.0

STREAMS_PER_SITE: Final = 16
"""A site's engine process has one, each of its jobs one more, and one that was cut may wait beside its successor."""

LOOK_S: Final = 15.0
"""How often is asked whether a site still takes part; after the end of its last run its streams end so soon."""

TakesPart = Callable[[str], bool]
"""Whether a site takes part in a federated training now; asked in a thread."""


class NotTakingPart(Refused):
    """No federated training asks for this site now."""

    code: ClassVar[str] = "relay.not_taking_part"


class NoStream(Refused):
    """The request offers no stream."""

    code: ClassVar[str] = "relay.no_stream"


class StreamGone(Refused):
    """The stream has ended, or is another site's."""

    code: ClassVar[str] = "relay.stream_gone"
    status: ClassVar[int] = 404


class TooManyStreams(Refused):
    """The site has as many streams as a site may have."""

    code: ClassVar[str] = "relay.too_many_streams"
    status: ClassVar[int] = 429


class EngineAway(Unavailable):
    """The training engine does not listen now."""

    code: ClassVar[str] = "relay.engine_away"


class EngineDoor:
    """Streams from sites to the training engine.

    Parameters
    ----------
    port
        The engine's server on this machine's loopback address.
    takes_part
        Asked before each connection and while it lasts.
    streams_per_site
        Limit.

    Attributes
    ----------
    bytes_carried
        Since this process began: from the sites (``in``) and to them (``out``).
    cuts
        Connections that ended while their stream had not.
    """

    def __init__(self, port: int, takes_part: TakesPart, *, streams_per_site: int = STREAMS_PER_SITE) -> None:
        self.port = port
        self._takes_part = takes_part
        self._streams_per_site = streams_per_site
        self._streams: dict[tuple[str, str], Stream] = {}
        self._carriers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._arriving: dict[str, int] = {}
        self._waiting_since: dict[tuple[str, str], float] = {}
        self._dropping: set[asyncio.Task[None]] = set()
        self.bytes_carried = {"in": 0, "out": 0}
        self.cuts = 0

    def streams(self) -> Mapping[str, int]:
        """Count the open streams of each site."""
        counts: dict[str, int] = {}
        for site, _ in list(self._streams):
            counts[site] = counts.get(site, 0) + 1
        return counts

    async def open(self, site: str, name: str, *, is_known: bool) -> Stream:
        """Return a stream that waits for its next connection, or begin one.

        Parameters
        ----------
        site, name
            Whose stream, by the certificate of its connection, and which.
        is_known
            Whether the site goes on with a stream; one that is gone is not begun again, for its bytes are lost.

        Raises
        ------
        NotTakingPart, StreamGone, TooManyStreams, EngineAway
        """
        await self._require_part(site)
        key = site, name
        carrier = self._carriers.pop(key, None)
        if carrier is not None:
            # The site knows before this side that the connection before is dead.
            carrier.cancel()
            await asyncio.gather(carrier, return_exceptions=True)
        if key in self._streams:
            return self._streams[key]
        if is_known:
            raise StreamGone("This stream to the training engine has ended.")
        arriving = self._arriving.get(site, 0)
        if self.streams().get(site, 0) + arriving >= self._streams_per_site:
            raise TooManyStreams("This site has too many streams to the training engine.")
        self._arriving[site] = arriving + 1
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection("127.0.0.1", self.port, limit=PIECE), CONNECT_S
            )
        except (OSError, TimeoutError) as error:
            raise EngineAway("The training engine does not listen now.") from error
        finally:
            self._arriving[site] -= 1
        return self._streams.setdefault(key, Stream(reader, writer, self._count))

    async def carry(
        self,
        key: tuple[str, str],
        peer_received: int,
        connection: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        stopping: asyncio.Event,
    ) -> None:
        """Carry a stream over one connection; when that is cut, keep it for the next.

        Parameters
        ----------
        key
            Site and name of an open stream.
        peer_received
            How many bytes the site has.
        connection
            To the site.
        stopping
            Set when this process ends.
        """
        stream = self._streams.get(key)
        if stream is None:
            return
        reader, writer = connection

        async def send(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        carrier = asyncio.create_task(stream.carry(lambda: reader.read(PIECE), send, peer_received))
        self._carriers[key] = carrier
        self._waiting_since.pop(key, None)
        others = [asyncio.create_task(stopping.wait()), asyncio.create_task(self._until_out(key[0]))]
        try:
            await asyncio.wait([carrier, *others], return_when=asyncio.FIRST_COMPLETED)
        finally:
            is_out = others[1].done()
            for task in (carrier, *others):
                task.cancel()
            ended = await asyncio.gather(carrier, *others, return_exceptions=True)
            is_last = self._carriers.get(key) is carrier
            if is_last:
                del self._carriers[key]
            if stream.is_over() or is_out or stopping.is_set() or isinstance(ended[0], BadFrames):
                await self._drop(key, stream)
            else:
                self.cuts += 1
                if is_last:
                    _log.info("a site's engine stream was cut", extra={"site": key[0]})
                    loop = asyncio.get_running_loop()
                    self._waiting_since[key] = since = loop.time()
                    loop.call_later(KEEP_S, self._forget, key, stream, since)

    def _count(self, received: int, sent: int) -> None:
        self.bytes_carried["in"] += received
        self.bytes_carried["out"] += sent

    async def _require_part(self, site: str) -> None:
        if not await run_in_threadpool(self._takes_part, site):
            raise NotTakingPart("This site takes part in no federated training now.")

    async def _until_out(self, site: str) -> None:
        while await run_in_threadpool(self._takes_part, site):  # noqa: ASYNC110 -- a state in the database
            await asyncio.sleep(LOOK_S)

    def _forget(self, key: tuple[str, str], stream: Stream, since: float) -> None:
        if self._waiting_since.get(key) == since and key not in self._carriers:
            task = asyncio.ensure_future(self._drop(key, stream))
            self._dropping.add(task)
            task.add_done_callback(self._dropping.discard)

    async def _drop(self, key: tuple[str, str], stream: Stream) -> None:
        if self._streams.get(key) is stream:
            del self._streams[key]
            self._waiting_since.pop(key, None)
        await stream.close()


def node_routes(door: EngineDoor | None) -> APIRouter:
    """Make the route of the nodes' listener; a CENTRAL without an engine refuses."""
    routes = APIRouter(tags=["relay"])

    @routes.get("/node/v1/engine/streams/{name}", response_class=Response)
    async def open_stream(
        name: Annotated[str, Path(pattern=r"^[0-9a-f]{32}$")],
        request: Request,
        received: Annotated[int, Query(ge=0)],
        *,
        is_known: bool = False,
    ) -> Response:
        """Switch this connection to a stream to the training engine, a new one or one that was cut."""
        if door is None:
            raise Refused("This CENTRAL runs no training engine.", code="learning.disabled")
        if offered(request) != PROTOCOL:
            raise NoStream(f"Offer the protocol {PROTOCOL} in the header Upgrade.")
        key = str(request.state.site.code), name
        stream = await door.open(*key, is_known=is_known)
        stopping: asyncio.Event = request.app.state.stopping

        async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await door.carry(key, received, (reader, writer), stopping)

        return SwitchedResponse(PROTOCOL, {RECEIVED: str(stream.received)}, carry)

    return routes


def register_metrics(app: FastAPI, door: EngineDoor) -> None:
    """Show how much the door carries, for the operator's monitoring."""
    gauge = app.state.metrics.gauge
    gauge("racoon_engine_streams", "Open streams of sites to the training engine", door.streams, label="site")
    gauge(
        "racoon_engine_stream_bytes",
        "Bytes of the training engine carried since this process began",
        lambda: door.bytes_carried,
        label="direction",
    )
    gauge("racoon_engine_stream_cuts", "Connections of engine streams that were cut", lambda: door.cuts)
