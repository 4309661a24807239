"""A connected socket that gives whole PDUs: few system calls, no copies, and a limit on every length and wait."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
import time

from racoon.platform.dimse.pdu import HEADER, LARGEST_PDU_BYTES, MalformedPdu

SMALL_BYTES = 16_384
"""Buffer of a connection that has not asked for anything yet."""

AHEAD_BYTES = 65_536
"""Room behind the largest PDU: a sender of small ones has several read at once."""

SLACK_BYTES = 4096
"""Some senders exceed the limit of a PDU by its headers."""


class Connection:
    """One peer.

    Parameters
    ----------
    connection
        Connected; encrypted where that was asked for.

    Notes
    -----
    The kernel keeps the time of a read (``SO_RCVTIMEO``) where it can: one call then waits for a whole PDU. Python's
    own timeouts need a call to wait and one to read for each piece that arrives.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._is_encrypted = isinstance(connection, ssl.SSLSocket)
        self._flags = 0 if self._is_encrypted else socket.MSG_WAITALL
        self._sending = threading.Lock()
        self._view = memoryview(bytearray(SMALL_BYTES))
        self._start = self._end = 0
        self._wait_s = 0.0
        self._deadline: float | None = None
        self._is_lost = False
        connection.settimeout(None)

    def limit(self, wait_s: float, *, in_all: bool) -> None:
        """Set how long to wait.

        Parameters
        ----------
        wait_s
            Seconds for a PDU to begin, and again for it to arrive.
        in_all
            The time counts from now for everything that is still read.
        """
        self._deadline = time.monotonic() + wait_s if in_all else None
        if wait_s == self._wait_s:
            return
        self._wait_s = wait_s
        if self._is_encrypted:
            self._socket.settimeout(wait_s)
            return
        interval = struct.pack("@ll", int(wait_s), int(wait_s % 1 * 1e6))
        for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
            self._socket.setsockopt(socket.SOL_SOCKET, option, interval)

    def expect(self, largest_pdu_bytes: int) -> None:
        """Make room for PDUs of this length."""
        self._make_room(largest_pdu_bytes + HEADER.size + AHEAD_BYTES)

    @property
    def holds_pdu(self) -> bool:
        """Whether the next PDU is here already; reading it then moves nothing in the buffer."""
        have = self._end - self._start
        return have >= HEADER.size and have >= HEADER.size + HEADER.unpack_from(self._view, self._start)[1]

    def read_pdu(self) -> tuple[int, memoryview]:
        """Read one PDU.

        Returns
        -------
        tuple
            Type, and what follows the header; it is overwritten by a later read, unless :attr:`holds_pdu`.

        Raises
        ------
        MalformedPdu
            If it announces a length that no honest PDU has; from then on the bytes of the peer are thrown away.
        TimeoutError, EOFError, OSError
            If it did not come in time, or the connection ended.
        """
        if self._is_lost:
            self._drain()
        self._fill(HEADER.size)
        kind, length = HEADER.unpack_from(self._view, self._start)
        if length > LARGEST_PDU_BYTES + SLACK_BYTES:
            self._is_lost = True
            raise MalformedPdu("The peer announced a PDU beyond every limit.")
        size = HEADER.size + length
        self._fill(size)
        body = self._view[self._start + HEADER.size : self._start + size]
        self._start += size
        return kind, body

    def give_up_reading(self) -> None:
        """Throw away what the peer still sends: after an error nothing says where its next PDU begins."""
        self._is_lost = True

    def send(self, data: bytes) -> None:
        """Send in one call, so that no delayed acknowledgement of TCP comes between (40 ms each)."""
        with self._sending:
            self._socket.sendall(data)

    def cut(self, last_words: bytes) -> None:
        """End the connection from another thread; who reads finds its end."""
        # An encrypted stream is one thread's; and last words in the middle of an answer would garble it.
        if not self._is_encrypted and self._sending.acquire(timeout=0.5):
            try:
                with contextlib.suppress(OSError):
                    self._socket.send(last_words, socket.MSG_DONTWAIT)
            finally:
                self._sending.release()
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close."""
        self._socket.close()

    def _fill(self, size: int) -> None:
        """Read until so many bytes are here."""
        if self._end - self._start >= size:
            return
        if self._start == self._end:
            self._start = self._end = 0
        if self._start + size > len(self._view):
            self._make_room(size)
        deadline = self._deadline or time.monotonic() + self._wait_s
        while (missing := size - (self._end - self._start)) > 0:
            # The rest of a PDU in one call; a header with whatever came along.
            is_rest = size > HEADER.size
            room = missing if is_rest else len(self._view) - self._end
            self._end += self._receive(self._view[self._end : self._end + room], is_rest=is_rest)
            if self._end - self._start < size and time.monotonic() > deadline:
                raise TimeoutError

    def _receive(self, place: memoryview, *, is_rest: bool) -> int:
        try:
            count = self._socket.recv_into(place, len(place), self._flags if is_rest else 0)
        except BlockingIOError as error:
            raise TimeoutError from error
        if not count:
            raise EOFError
        return count

    def _make_room(self, size: int) -> None:
        rest = self._end - self._start
        if size > len(self._view):
            wider = memoryview(bytearray(size))
            wider[:rest] = self._view[self._start : self._end]
            self._view = wider
        else:
            self._view[:rest] = self._view[self._start : self._end]
        self._start, self._end = 0, rest

    def _drain(self) -> None:
        while True:
            self._receive(self._view, is_rest=False)
            if self._deadline is not None and time.monotonic() > self._deadline:
                raise TimeoutError
