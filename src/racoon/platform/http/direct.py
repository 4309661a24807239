"""Bodies of files that go from the page cache to the client's socket, without a copy in this process.

A series of CT is a hundred megabytes and more.  Read into memory and written piece by piece it costs two copies,
fresh pages for each piece, and a change between the loop and a thread each time; ``sendfile(2)`` costs none of them.
It works where the kernel sees the bytes that the client gets: over plain TCP, with a Content-Length.  Anywhere else
(TLS in this process, another server) the same response is streamed in the usual way.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import io
import os
import select
import socket
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import BinaryIO, Final, Self, cast

from starlette.concurrency import iterate_in_threadpool, run_in_threadpool
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from racoon.errors import Defect

EXTENSION: Final = "racoon.send_pieces"
"""Key in ``scope["extensions"]``; the value is a :data:`PieceSender`."""

Piece = bytes | BinaryIO
PieceSender = Callable[[Iterator[Piece], int], Awaitable[None]]

_READ_BYTES = 1 << 20
_PATIENCE_MS = 20
"""How long a thread waits for a client before it goes back to the pool; a fast one empties its buffer sooner."""
_SLICE_S = 0.25
"""How long one answer may keep a thread when others wait for one."""

_OTHER_LENGTH = "A body has another length than the index says. Run `racoon node reindex` and check the disk."

_NO_SENDFILE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
_GONE = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class WrongLength(Defect):
    """A file on disk is longer or shorter than the index says."""

    code = "http.wrong_length"


class PiecesResponse(Response):
    """A body made of bytes and of open files, one after the other; each file is closed when it was sent.

    Parameters
    ----------
    pieces
        Made while they are sent, in a thread; nothing is held but the present one.
    length
        Bytes of the whole body.
    status_code, headers, media_type
        As for any response.
    """

    def __init__(
        self,
        pieces: Iterator[Piece],
        length: int,
        *,
        status_code: int = 200,
        headers: Mapping[str, str] | None = None,
        media_type: str | None = None,
    ) -> None:
        super().__init__(None, status_code, {**(headers or {}), "Content-Length": str(length)}, media_type)
        self._pieces = pieces
        self._length = length

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 -- ASGI's signature
        """Send the body, directly where the server offers it."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        sender = cast("PieceSender | None", scope.get("extensions", {}).get(EXTENSION))
        if scope["method"] != "HEAD":
            if sender is not None:
                await sender(self._pieces, self._length)
            else:
                left = self._length
                async for body in iterate_in_threadpool(_in_memory(self._pieces)):
                    left -= len(body)
                    await send({"type": "http.response.body", "body": body, "more_body": True})
                if left:
                    raise WrongLength(_OTHER_LENGTH)
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _in_memory(pieces: Iterator[Piece]) -> Iterator[bytes]:
    """The same body in portions of about a megabyte."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        for part in [piece] if isinstance(piece, bytes) else _read(piece):
            held.append(part)
            size += len(part)
            if size >= _READ_BYTES:
                yield b"".join(held)
                held, size = [], 0
    yield b"".join(held)


def _read(stream: BinaryIO) -> Iterator[bytes]:
    with stream:
        while part := stream.read(_READ_BYTES):
            yield part


async def send_pieces(cycle: RequestResponseCycle, pieces: Iterator[Piece], length: int) -> None:
    """Write pieces to the socket of a connection whose response has begun.

    Parameters
    ----------
    cycle
        The server's request and response, over plain TCP.
    pieces
        The whole body.
    length
        Its bytes, which the client was told.

    Raises
    ------
    WrongLength
        If the pieces have another length; the connection is then closed, for the client could not tell where the
        next answer begins.

    Notes
    -----
    A client that goes away ends the sending without an error: the connection's own reading notices it as well.
    """
    transport = cycle.transport
    # What the loop still holds of the headers has to be out before another hand writes to the socket.
    transport.set_write_buffer_limits(0)
    await cycle.flow.drain()
    transport.set_write_buffer_limits(HIGH_WATER_LIMIT)
    if transport.is_closing():
        return
    left = length
    try:
        with (
            contextlib.closing(transport.get_extra_info("socket").dup()) as out,
            _Body(pieces, out) as body,
        ):
            while not body.is_complete and left >= 0:
                left -= await run_in_threadpool(body.send_some)
                if body.is_waiting:
                    await _writable(out)
    except _GONE:
        # The loop notices it with the next event only; until then nothing more may be written.
        cycle.disconnected = True
        transport.abort()
        return
    if left:
        transport.abort()
        raise WrongLength(_OTHER_LENGTH)
    # What went out by this way is all that the server was told to expect.
    cycle.expected_content_length = 0


async def _writable(out: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_writer(out.fileno(), ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_writer(out.fileno())


class _Body:
    """What is still to be sent; used by one thread at a time."""

    def __init__(self, pieces: Iterator[Piece], out: socket.socket) -> None:
        self._pieces = pieces
        self._out = out
        self._poll = select.poll()
        self._poll.register(out, select.POLLOUT)
        self._file: BinaryIO | None = None
        self._number = -1
        self._offset = 0
        self._bytes = memoryview(b"")
        self.is_complete = False
        self.is_waiting = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_file()

    def send_some(self) -> int:
        """Send until the end, until the client is slow, or until the slice of time is over; return the bytes."""
        self.is_waiting = False
        end = time.monotonic() + _SLICE_S
        sent = 0
        while not self.is_complete and time.monotonic() < end:
            try:
                sent += self._send()
            except BlockingIOError:
                if not self._poll.poll(_PATIENCE_MS):
                    self.is_waiting = True
                    break
        return sent

    def _send(self) -> int:
        if self._bytes:
            # More follows: a small head travels in the same segment as the file behind it.
            count = self._out.send(self._bytes, socket.MSG_MORE)
            self._bytes = self._bytes[count:]
            return count
        if self._file is not None:
            return self._send_file(self._file)
        try:
            piece = next(self._pieces)
        except StopIteration:
            self.is_complete = True
            # Setting it again flushes what waits for more to come (tcp(7)).
            self._out.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return 0
        if isinstance(piece, bytes):
            self._bytes = memoryview(piece)
        else:
            self._file, self._number, self._offset = piece, _descriptor(piece), 0
        return 0

    def _send_file(self, stream: BinaryIO) -> int:
        if self._number >= 0:
            try:
                count = os.sendfile(self._out.fileno(), self._number, self._offset, 1 << 30)
            except OSError as error:
                if error.errno not in _NO_SENDFILE:
                    raise
                stream.seek(self._offset)
                self._number = -1
                return 0
            self._offset += count
            if not count:
                self._close_file()
            return count
        self._bytes = memoryview(stream.read(_READ_BYTES))
        if not self._bytes:
            self._close_file()
        return 0

    def _close_file(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def _descriptor(stream: BinaryIO) -> int:
    """The file's number, -1 for a stream that is no file of this machine."""
    try:
        return stream.fileno()
    except (AttributeError, io.UnsupportedOperation):
        return -1
