"""The sending side of a DICOM association, just enough for C-STORE and C-ECHO (PS3.7, PS3.8).

Sends the bytes of a data set as they are: a file with a transfer syntax we cannot decode, or one that a
broken disk cut short, reaches the other side exactly as it lies in the hospital's archive.  It is no
library: pynetdicom is.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Self

from racoon.errors import Unavailable

APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
VERIFICATION = "1.2.840.10008.1.1"
IMPLEMENTATION_UID = b"2.25.216812937711209847126504215063415312877"
IMPLICIT_VR = "1.2.840.10008.1.2"
OUR_LIMIT = 1 << 16
"""Largest PDU we accept, bytes; responses are far smaller."""

CHUNK = 1 << 18
"""Largest PDU we send if the peer sets no limit, bytes."""

C_STORE, C_ECHO = 0x0001, 0x0030


class PeerUnavailable(Unavailable):
    """The other side does not answer, broke the association or spoke out of turn; sending again is safe."""

    code: ClassVar[str] = "demo.peer_unavailable"


class ContextRefused(Unavailable):
    """The other side does not take this kind of object in this encoding."""

    code: ClassVar[str] = "demo.context_refused"


@dataclass(frozen=True)
class Context:
    """Abstract syntax and transfer syntax, one pair per presentation context."""

    sop_class_uid: str
    transfer_syntax_uid: str


class Association:
    """One association as the requestor.

    Parameters
    ----------
    host, port
        The other side.
    calling, called
        AE titles.
    contexts
        What will be sent; at most 128.
    timeout_s
        For connecting and for each answer.
    """

    def __init__(
        self,
        host: str,
        port: int,
        calling: str,
        called: str,
        contexts: Sequence[Context],
        timeout_s: float = 60,
    ) -> None:
        self._ids = {context: 2 * index + 1 for index, context in enumerate(contexts[:128])}
        self._accepted: set[int] = set()
        self._message = 0
        self._limit = CHUNK
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout_s)
        except OSError as error:
            raise PeerUnavailable(
                "The DICOM peer does not accept connections.", details={"error": str(error)}
            ) from error
        # Without this, Nagle and delayed acknowledgement cost 40 ms per instance.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._file = self._socket.makefile("rb", buffering=1 << 16)
        try:
            self._negotiate(calling, called)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Use as a context manager: released at the end, aborted on an error."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Release, or close at once after an error."""
        if kind is None:
            self.release()
        self.close()

    def accepts(self, context: Context) -> bool:
        """Tell whether the peer takes this kind of object in this encoding."""
        return self._ids.get(context, 0) in self._accepted

    def store(self, context: Context, sop_instance_uid: str, data: bytes) -> int:
        """Send one data set and return the status of the answer (PS3.4 B.2.3)."""
        self._message = self._message % 0xFFFF + 1
        command = _element(0x0002, context.sop_class_uid.encode(), b"\0")
        command += _number(0x0100, C_STORE) + _number(0x0110, self._message)
        command += _number(0x0700, 0) + _number(0x0800, 0x0001)
        command += _element(0x1000, sop_instance_uid.encode(), b"\0")
        return self._exchange(context, command, data)

    def echo(self) -> int:
        """Verify that the peer is there; return the status."""
        self._message = self._message % 0xFFFF + 1
        context = next(c for c in self._ids if c.sop_class_uid == VERIFICATION)
        command = _element(0x0002, VERIFICATION.encode(), b"\0")
        command += _number(0x0100, C_ECHO) + _number(0x0110, self._message) + _number(0x0800, 0x0101)
        return self._exchange(context, command, None)

    def release(self) -> None:
        """End the association in order; a peer that is gone is no error here."""
        try:
            self._socket.sendall(struct.pack(">BBI4x", 5, 0, 4))
            self._read_pdu()
        except (OSError, PeerUnavailable):
            return

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._socket.close()

    def _negotiate(self, calling: str, called: str) -> None:
        body = struct.pack(">HH", 1, 0)
        body += called.encode().ljust(16)[:16] + calling.encode().ljust(16)[:16] + bytes(32)
        body += _item(0x10, APPLICATION_CONTEXT)
        for context, number in self._ids.items():
            syntaxes = _item(0x30, context.sop_class_uid.encode()) + _item(
                0x40, context.transfer_syntax_uid.encode()
            )
            body += _item(0x20, struct.pack(">Bxxx", number) + syntaxes)
        user = (
            _item(0x51, struct.pack(">I", OUR_LIMIT))
            + _item(0x52, IMPLEMENTATION_UID)
            + _item(0x55, b"RACOON_DEMO")
        )
        body += _item(0x50, user)
        self._send(struct.pack(">BBI", 1, 0, len(body)) + body)
        kind, answer = self._read_pdu()
        if kind == 3:
            raise PeerUnavailable(
                "The DICOM peer rejected the association.", details={"reason": list(answer[1:4])}
            )
        if kind != 2:
            raise PeerUnavailable("The DICOM peer answered the association request with something else.")
        self._read_acceptance(answer)

    def _read_acceptance(self, answer: bytes) -> None:
        at = 68
        while at + 4 <= len(answer):
            kind, length = struct.unpack_from(">BxH", answer, at)
            item = answer[at + 4 : at + 4 + length]
            if kind == 0x21 and len(item) >= 4 and item[2] == 0:
                self._accepted.add(item[0])
            elif kind == 0x50:
                self._read_limit(item)
            at += 4 + length

    def _read_limit(self, user: bytes) -> None:
        at = 0
        while at + 4 <= len(user):
            kind, length = struct.unpack_from(">BxH", user, at)
            if kind == 0x51 and length == 4:
                (limit,) = struct.unpack_from(">I", user, at + 4)
                # Zero means that the peer sets no limit (PS3.8 D.1).
                self._limit = min(limit, CHUNK) if limit else CHUNK
            at += 4 + length

    def _exchange(self, context: Context, command: bytes, data: bytes | None) -> int:
        number = self._ids.get(context, 0)
        if number not in self._accepted:
            raise ContextRefused(
                "The DICOM peer does not accept this kind of object.",
                details={"sop_class": context.sop_class_uid, "transfer_syntax": context.transfer_syntax_uid},
            )
        command = _number_long(0x0000, len(command)) + command
        self._send_fragments(number, command, is_command=True)
        if data is not None:
            self._send_fragments(number, data, is_command=False)
        return self._read_status()

    def _send_fragments(self, number: int, data: bytes, *, is_command: bool) -> None:
        room = self._limit - 6
        view = memoryview(data)
        for start in range(0, max(len(data), 1), room):
            part = view[start : start + room]
            flags = int(is_command) | (2 if start + room >= len(data) else 0)
            head = struct.pack(">BBIIBB", 4, 0, len(part) + 6, len(part) + 2, number, flags)
            self._send(head + bytes(part))

    def _read_status(self) -> int:
        answer = b""
        while True:
            kind, body = self._read_pdu()
            if kind != 4:
                raise PeerUnavailable("The DICOM peer ended the association.", details={"pdu": kind})
            at, is_last = 0, False
            while at + 6 <= len(body):
                length, flags = struct.unpack_from(">IxB", body, at)
                if flags & 1:
                    answer += body[at + 6 : at + 4 + length]
                    is_last = is_last or bool(flags & 2)
                at += 4 + length
            if is_last:
                break
        at = 0
        found: dict[int, bytes] = {}
        while at + 8 <= len(answer):
            group, element, length = struct.unpack_from("<HHI", answer, at)
            if group == 0:
                found[element] = answer[at + 8 : at + 8 + length]
            at += 8 + length
        replied = struct.unpack("<H", found.get(0x0120, b"\0\0"))[0]
        if replied != self._message or len(found.get(0x0900, b"")) != 2:
            raise PeerUnavailable("The DICOM peer answered another message.")
        return int(struct.unpack("<H", found[0x0900])[0])

    def _read_pdu(self) -> tuple[int, bytes]:
        try:
            head = self._file.read(6)
            if len(head) < 6:
                raise PeerUnavailable("The DICOM peer closed the connection.")
            kind, length = struct.unpack(">BxI", head)
            if length > OUR_LIMIT:
                raise PeerUnavailable("The DICOM peer sent a longer message than agreed.")
            body = self._file.read(length)
        except OSError as error:
            raise PeerUnavailable(
                "The DICOM peer stopped answering.", details={"error": str(error)}
            ) from error
        if len(body) < length:
            raise PeerUnavailable("The DICOM peer closed the connection in the middle of an answer.")
        return kind, body

    def _send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise PeerUnavailable(
                "The DICOM peer closed the connection.", details={"error": str(error)}
            ) from error


def _item(kind: int, body: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(body)) + body


def _element(element: int, value: bytes, padding: bytes) -> bytes:
    value += padding * (len(value) % 2)
    return struct.pack("<HHI", 0, element, len(value)) + value


def _number(element: int, value: int) -> bytes:
    return struct.pack("<HHIH", 0, element, 2, value)


def _number_long(element: int, value: int) -> bytes:
    return struct.pack("<HHII", 0, element, 4, value)
