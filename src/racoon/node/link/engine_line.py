"""The training engine's traffic on the node's one outgoing line: a door on loopback, and streams through CENTRAL's.

The site's engine process dials the door as if CENTRAL's engine listened there; its own mutual TLS goes through
unopened.  Each of its connections becomes a stream that outlives cuts of the line (:mod:`racoon.platform.streams`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import threading
import uuid
from typing import TYPE_CHECKING, Any

from racoon.node.link.identity import Identity
from racoon.node.link.model import CentralUnreachable
from racoon.platform.streams import KEEP_S, PIECE, PROTOCOL, RECEIVED, BadFrames, Stream

if TYPE_CHECKING:
    import httpx

_log = logging.getLogger(__name__)

FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 5.0
"""Pauses before a cut stream is taken up again; well below the time for which both sides keep it."""

CONNECT_S = 15.0
CLOSE_S = 2.0

_SWITCHED = 101


class _Ended(Exception):
    """CENTRAL refuses the stream, or knows it no more; the engine's process begins a new one by itself."""


class EngineLine:
    """Carries the site's engine process to CENTRAL's engine.

    Parameters
    ----------
    identity
        Certificate and address, as for the messages; ``HTTPS_PROXY`` and ``NO_PROXY`` are honoured in the same way.
    """

    def __init__(self, identity: Identity) -> None:
        self._identity = identity
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._port = 0
        self._streams: set[Stream] = set()
        self.bytes_carried = {"in": 0, "out": 0}
        self.cuts = 0

    def open(self) -> int:
        """Open the door, or keep the open one.

        Returns
        -------
        int
            Port on 127.0.0.1.
        """
        with self._lock:
            if self._thread is None or not self._thread.is_alive():
                ready = threading.Event()
                self._thread = threading.Thread(
                    target=lambda: asyncio.run(self._serve(ready)), name="link-engine", daemon=True
                )
                self._thread.start()
                ready.wait()
            if not self._port:
                raise CentralUnreachable("The way to the training engine cannot be opened on this machine.")
            return self._port

    def close(self) -> None:
        """Close the door and all streams; idempotent."""
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is not None and self._loop is not None and self._stop is not None:
                with contextlib.suppress(RuntimeError):
                    self._loop.call_soon_threadsafe(self._stop.set)
                thread.join(5)

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stop, self._port = asyncio.get_running_loop(), asyncio.Event(), 0
        streams: set[asyncio.Task[None]] = set()

        def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.create_task(self._carry(reader, writer))
            streams.add(task)
            task.add_done_callback(streams.discard)

        try:
            server = await asyncio.start_server(accept, "127.0.0.1", 0, limit=PIECE)
            self._port = server.sockets[0].getsockname()[1]
        finally:
            ready.set()
        await self._stop.wait()
        server.close()
        # CENTRAL would keep for two minutes what was cut; what was ended it forgets at once.
        for stream in self._streams:
            stream.finish()
        if streams:
            await asyncio.wait(list(streams), timeout=CLOSE_S)
        for task in list(streams):
            task.cancel()
        await asyncio.gather(*streams, return_exceptions=True)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection of the engine's process until one of its ends closes."""
        loop = asyncio.get_running_loop()
        stream = Stream(reader, writer, self._count)
        self._streams.add(stream)
        name, jitter = uuid.uuid4().hex, random.Random()
        wait_s, is_known, alive_at = FIRST_WAIT_S, False, loop.time()
        try:
            while not stream.is_over():
                before = stream.received
                try:
                    is_connected = await self._connect(stream, name, is_known=is_known)
                except _Ended as refusal:
                    _log.warning("the training engine is not reached", extra={"reason": str(refusal)})
                    return
                if stream.is_over():
                    return
                is_known = is_known or is_connected
                if is_connected:
                    self.cuts += 1
                    alive_at = loop.time()
                if stream.received > before:
                    wait_s = FIRST_WAIT_S
                if loop.time() - alive_at > KEEP_S:
                    _log.warning("a stream to the training engine is given up")
                    return
                await asyncio.sleep(wait_s * jitter.uniform(0.5, 1.0))
                wait_s = min(wait_s * 2, LONGEST_WAIT_S)
        except BadFrames:
            _log.warning("CENTRAL's answer is no stream of the training engine")
        finally:
            self._streams.discard(stream)
            await stream.close()

    async def _connect(self, stream: Stream, name: str, *, is_known: bool) -> bool:
        """Carry a stream over one connection; tell whether there was one."""
        import httpx  # noqa: PLC0415 - the worker alone speaks

        url = f"{self._identity.nodes_url}/node/v1/engine/streams/{name}"
        asked = {"received": str(stream.received), "is_known": str(is_known).lower()}
        # A new context each time: the node's certificate is renewed now and then.
        context = self._identity.ssl_context()
        is_connected = False
        with contextlib.suppress(httpx.HTTPError, OSError):
            async with (
                httpx.AsyncClient(verify=context, timeout=httpx.Timeout(CONNECT_S)) as client,
                client.stream(
                    "GET", url, params=asked, headers={"Connection": "Upgrade", "Upgrade": PROTOCOL}
                ) as answer,
            ):
                await _check(answer)
                is_connected = True
                network: Any = answer.extensions["network_stream"]

                async def receive() -> bytes:
                    try:
                        return bytes(await network.read(PIECE))
                    except Exception as error:
                        raise OSError("The line was cut.") from error

                async def send(data: bytes) -> None:
                    try:
                        await network.write(data)
                    except Exception as error:
                        raise OSError("The line was cut.") from error

                await stream.carry(receive, send, int(answer.headers.get(RECEIVED, "0")))
        return is_connected

    def _count(self, received: int, sent: int) -> None:
        self.bytes_carried["in"] += received
        self.bytes_carried["out"] += sent


async def _check(answer: httpx.Response) -> None:
    """Let a switched connection through.

    Raises
    ------
    _Ended
        If CENTRAL says no, or knows nothing of streams; what is in between may answer 502 to 504 and is asked again.
    """
    if answer.status_code == _SWITCHED:
        return
    await answer.aread()
    if answer.status_code in {502, 504}:
        raise OSError("Something before CENTRAL does not reach it.")
    try:
        reason = str(answer.json().get("detail", ""))
    except ValueError:
        reason = ""
    raise _Ended(reason or f"HTTP status {answer.status_code}")
