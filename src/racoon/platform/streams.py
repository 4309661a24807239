"""A byte stream between two programs that outlives the connection which carries it.

Each side keeps what the other has not acknowledged, up to :data:`WINDOW`, and counts every byte.  When the connection
between them is cut, a new one begins with what each side has received, and both go on from there; the two programs
at the ends notice a pause and nothing else.  The bytes themselves are nobody's business here.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Final

PROTOCOL: Final = "racoon-stream"
"""Name in the header ``Upgrade``."""

RECEIVED: Final = "racoon-received"
"""Header of the answer: how many bytes of the stream the answering side has."""

WINDOW: Final = 4 << 20
"""Most bytes on the way, each way; fills a line of 300 Mbit/s with 100 ms there and back."""

PIECE: Final = 1 << 16
ACKNOWLEDGE_EVERY: Final = 1 << 19

BEAT_S: Final = 10.0
"""Longest silence of a side that lives; proxies cut connections that are silent for 30 s."""

SILENCE_S: Final = 35.0
"""A connection that says nothing for so long is given up; the stream goes on with the next."""

KEEP_S: Final = 120.0
"""How long a stream without a connection waits for one."""

_FRAME = struct.Struct(">cQ")
_DATA, _TAKEN, _END = b"D", b"A", b"E"

Receive = Callable[[], Awaitable[bytes]]
"""Gives the next bytes of the connection; nothing at its end."""

Send = Callable[[bytes], Awaitable[None]]


class BadFrames(ValueError):
    """The connection carries something else than a stream."""


class Stream:
    """One side of a stream; made within a running event loop.

    Parameters
    ----------
    reader, writer
        The program behind this side.
    on_bytes
        Called with the number of bytes that came from the other side, and that were sent to it.

    Attributes
    ----------
    received
        Bytes that came from the other side so far.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_bytes: Callable[[int, int], None] = lambda _received, _sent: None,
    ) -> None:
        self._reader, self._writer, self._on_bytes = reader, writer, on_bytes
        self._kept: deque[bytes] = deque()
        self._kept_from = self._kept_to = 0
        self._arrived: deque[bytes] = deque()
        self._taken = self._told = 0
        self._news, self._room, self._more, self._less = (asyncio.Event() for _ in range(4))
        self._is_ended = False
        self.received = 0
        self._is_over = False
        self._tasks = [asyncio.create_task(self._feed()), asyncio.create_task(self._deliver())]

    async def carry(self, receive: Receive, send: Send, peer_received: int) -> None:
        """Carry bytes over one connection until it is cut or the stream is over.

        Parameters
        ----------
        receive, send
            The connection.
        peer_received
            How many bytes the other side has, as it said when the connection began.

        Raises
        ------
        BadFrames
        """
        self._acknowledge(peer_received)
        self._told = self._taken
        ways = [
            asyncio.create_task(self._write(send, peer_received)),
            asyncio.create_task(self._read(receive)),
        ]
        try:
            done, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
        for way in done:
            error = way.exception()
            if error is not None and not isinstance(error, OSError | TimeoutError):
                raise error
        if self._is_over:
            with contextlib.suppress(OSError):
                await send(_FRAME.pack(_END, 0))

    def is_over(self) -> bool:
        """Tell whether one of the two programs has closed; the stream then carries nothing any more."""
        return self._is_over

    def finish(self) -> None:
        """Take nothing more from the program; the other side is told when it has what was taken."""
        self._tasks[0].cancel()
        self._end()

    async def close(self) -> None:
        """End this side: the program gets what has arrived for it, and then the end."""
        self._is_over = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        with contextlib.suppress(OSError, RuntimeError):
            for piece in self._arrived:
                self._writer.write(piece)
        self._arrived.clear()
        self._writer.close()

    async def _feed(self) -> None:
        """Read from the program whatever fits into the window; the rest waits in the program."""
        with contextlib.suppress(OSError):
            while True:
                while self._kept_to - self._kept_from >= WINDOW:
                    self._room.clear()
                    await self._room.wait()
                data = await self._reader.read(PIECE)
                if not data:
                    break
                self._kept.append(data)
                self._kept_to += len(data)
                self._news.set()
        self._end()

    async def _deliver(self) -> None:
        """Write to the program what has arrived, and count it as taken only then."""
        with contextlib.suppress(OSError):
            while True:
                while self._arrived:
                    piece = self._arrived[0]
                    self._writer.write(piece)
                    self._arrived.popleft()
                    await self._writer.drain()
                    self._taken += len(piece)
                    self._less.set()
                    if self._taken - self._told >= ACKNOWLEDGE_EVERY:
                        self._news.set()
                self._more.clear()
                await self._more.wait()
        self._end()

    def _end(self) -> None:
        self._is_ended = True
        self._news.set()

    def _acknowledge(self, count: int) -> None:
        if not self._kept_from <= count <= self._kept_to:
            raise BadFrames("The other side counts other bytes than were sent.")
        while self._kept and self._kept_from + len(self._kept[0]) <= count:
            self._kept_from += len(self._kept.popleft())
        if count > self._kept_from:
            self._kept[0] = self._kept[0][count - self._kept_from :]
            self._kept_from = count
        self._room.set()

    def _from(self, position: int) -> bytes:
        """Return the kept piece that begins at a position."""
        start = self._kept_from
        for piece in self._kept:
            if position < start + len(piece):
                return piece[position - start :]
            start += len(piece)
        return b""

    async def _write(self, send: Send, position: int) -> None:
        while True:
            self._news.clear()
            if self._taken - self._told >= ACKNOWLEDGE_EVERY:
                await self._tell(send)
            if position < self._kept_to:
                # What was acknowledged on another way meanwhile need not be sent.
                position = max(position, self._kept_from)
                piece = self._from(position)
                await send(_FRAME.pack(_DATA, len(piece)) + piece)
                position += len(piece)
                self._on_bytes(0, len(piece))
            elif self._is_ended:
                self._is_over = True
                return
            else:
                try:
                    async with asyncio.timeout(BEAT_S):
                        await self._news.wait()
                except TimeoutError:
                    await self._tell(send)

    async def _tell(self, send: Send) -> None:
        self._told = self._taken
        await send(_FRAME.pack(_TAKEN, self._told))

    async def _read(self, receive: Receive) -> None:
        waiting = bytearray()
        while True:
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with data.
            async with asyncio.timeout(SILENCE_S):
                data = await receive()
            if not data:
                return
            waiting += data
            while len(waiting) >= _FRAME.size:
                kind, number = _FRAME.unpack_from(waiting)
                size = _FRAME.size + (number if kind == _DATA else 0)
                if kind not in {_DATA, _TAKEN, _END} or size > _FRAME.size + PIECE:
                    raise BadFrames("The connection carries no stream.")
                if len(waiting) < size:
                    break
                body = bytes(waiting[_FRAME.size : size])
                del waiting[:size]
                if kind == _TAKEN:
                    self._acknowledge(max(number, self._kept_from))
                elif kind == _END:
                    self._is_over = True
                    return
                else:
                    self.received += len(body)
                    self._arrived.append(body)
                    self._more.set()
                    self._on_bytes(len(body), 0)
            while self.received - self._taken > 2 * WINDOW:
                # More than a peer of ours sends unasked, except after many cuts: it waits in the connection.
                self._less.clear()
                await self._less.wait()
