"""What the listener does with each message: an object goes to the spool, an echo comes back, a request is answered."""

from __future__ import annotations

import logging
import os
import struct
from collections.abc import Callable, Iterable

from racoon.node.intake._commitment import PUSH_MODEL, PUSH_MODEL_INSTANCE, Commitment
from racoon.node.intake.spool import Incoming, Spool
from racoon.platform.dimse.acceptor import Message, OutOfPlace
from racoon.platform.dimse.command import ANSWER, Command, Field, Operation
from racoon.platform.dimse.pdu import AcceptedContext
from racoon.platform.files import StorageFull
from racoon.standards.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME, is_uid

LOG = logging.getLogger(__name__)

VERIFICATION = "1.2.840.10008.1.1"

SUCCESS, OUT_OF_RESOURCES, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xC000
"""Status codes of C-STORE (PS3.4 table B.2-1)."""

LARGEST_REQUEST_BYTES = 32 << 20
"""Of a request for commitment: the most references, and room."""

Done = Callable[[str, str, int], None]
"""Called with SOP class, SOP instance and size of an object; a size of 0 means that it was refused."""


class Storing:
    """An object on its way into the spool (C-STORE, PS3.7 section 9.1.1).

    Parameters
    ----------
    command, context
        What announced it.
    spool
        Where it goes.
    limit
        Largest object in bytes.
    done
        Told when it is durable or refused.
    """

    def __init__(
        self, command: Command, context: AcceptedContext, spool: Spool, limit: int, done: Done
    ) -> None:
        self._class = command.uid(Field.AFFECTED_CLASS)
        self._instance = command.uid(Field.AFFECTED_INSTANCE)
        self._message_id = command.number(Field.MESSAGE_ID)
        self._limit, self._done = limit, done
        self._size = 0
        self._incoming: Incoming | None = None
        self._status = SUCCESS
        if not is_uid(self._instance) or not is_uid(self._class):
            LOG.warning("object refused: malformed UID in the request")
            self._status = CANNOT_UNDERSTAND
            return
        try:
            self._incoming = spool.begin()
            self._incoming.write([file_head(self._class, self._instance, context.transfer_syntax)])
        except OSError as error:
            self._refuse(error)
        except StorageFull as error:
            self._refuse(error)

    def write(self, parts: list[memoryview]) -> None:
        """Write the next pieces; after a refusal they are read and forgotten."""
        self._size += sum(len(part) for part in parts)
        if self._size > self._limit:
            raise OutOfPlace("An object is larger than dicom.max_object_mb.")
        if self._incoming is None:
            return
        try:
            self._incoming.write(parts)
        except (OSError, StorageFull) as error:
            self._refuse(error)

    def finish(self) -> Iterable[Message]:
        """Make it durable and say so."""
        if self._incoming is not None:
            try:
                self._incoming.commit()
            except (OSError, StorageFull) as error:
                self._refuse(error)
        self._done(self._class, self._instance, self._incoming.size_bytes if self._incoming else 0)
        values: dict[Field, int | str] = {
            Field.AFFECTED_CLASS: self._class,
            Field.COMMAND: ANSWER | Operation.STORE,
            Field.MESSAGE_ID_ANSWERED: self._message_id,
            Field.STATUS: self._status,
            Field.AFFECTED_INSTANCE: self._instance,
        }
        return (Message(values),)

    def discard(self) -> None:
        """Forget what came of it."""
        if self._incoming is not None:
            self._incoming.discard()

    def _refuse(self, error: OSError | StorageFull) -> None:
        self._status = OUT_OF_RESOURCES
        self.discard()
        self._incoming = None
        if isinstance(error, StorageFull):
            LOG.error("disk full: object refused; the sender will try again")
        else:
            reason = os.strerror(error.errno or 0)
            LOG.error("spool cannot be written: object refused", extra={"reason": reason})


class Ignoring:
    """A message that needs nothing: the answer to a report of ours."""

    def write(self, parts: list[memoryview]) -> None:
        """Forget."""

    def finish(self) -> Iterable[Message]:
        """Answer nothing."""
        return ()

    def discard(self) -> None:
        """Forget."""


class Echoing(Ignoring):
    """A C-ECHO (PS3.7 section 9.1.5)."""

    def __init__(self, command: Command) -> None:
        self._message_id = command.number(Field.MESSAGE_ID)

    def finish(self) -> Iterable[Message]:
        """Answer."""
        values: dict[Field, int | str] = {
            Field.AFFECTED_CLASS: VERIFICATION,
            Field.COMMAND: ANSWER | Operation.ECHO,
            Field.MESSAGE_ID_ANSWERED: self._message_id,
            Field.STATUS: SUCCESS,
        }
        return (Message(values),)


class Acting:
    """A request for storage commitment (N-ACTION, PS3.7 section 10.1.4)."""

    def __init__(
        self, command: Command, context: AcceptedContext, calling: str, commitment: Commitment
    ) -> None:
        self._message_id = command.number(Field.MESSAGE_ID)
        self._action = command.number(Field.ACTION_TYPE, 0)
        self._syntax = context.transfer_syntax
        self._calling, self._commitment = calling, commitment
        self._data = bytearray()

    def write(self, parts: list[memoryview]) -> None:
        """Collect the request."""
        for part in parts:
            self._data += part
        if len(self._data) > LARGEST_REQUEST_BYTES:
            raise OutOfPlace("A request for storage commitment is too long.")

    def finish(self) -> Iterable[Message]:
        """Answer, and report at once where the sender is to hear it here."""
        status, report = self._commitment.take(self._calling, self._action, bytes(self._data), self._syntax)
        yield Message(
            {
                Field.AFFECTED_CLASS: PUSH_MODEL,
                Field.COMMAND: ANSWER | Operation.ACTION,
                Field.MESSAGE_ID_ANSWERED: self._message_id,
                Field.STATUS: status,
                Field.AFFECTED_INSTANCE: PUSH_MODEL_INSTANCE,
                Field.ACTION_TYPE: self._action,
            }
        )
        if report is not None:
            kind, data = report
            yield Message(
                {
                    Field.AFFECTED_CLASS: PUSH_MODEL,
                    Field.COMMAND: Operation.EVENT_REPORT,
                    Field.MESSAGE_ID: 1,
                    Field.AFFECTED_INSTANCE: PUSH_MODEL_INSTANCE,
                    Field.EVENT_TYPE: kind,
                },
                data,
            )

    def discard(self) -> None:
        """Forget the request."""


def file_head(sop_class: str, sop_instance: str, transfer_syntax: str) -> bytes:
    """Write what a file has in front of its data set: preamble and file meta information (PS3.10 section 7.1)."""
    elements = b"".join(
        (
            struct.pack("<HH2sHL", 0x0002, 0x0001, b"OB", 0, 2) + b"\x00\x01",
            _short(0x0002, b"UI", sop_class),
            _short(0x0003, b"UI", sop_instance),
            _short(0x0010, b"UI", transfer_syntax),
            _short(0x0012, b"UI", IMPLEMENTATION_CLASS_UID),
            _short(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME),
        )
    )
    length = struct.pack("<HH2sHL", 0x0002, 0x0000, b"UL", 4, len(elements))
    return bytes(128) + b"DICM" + length + elements


def _short(element: int, kind: bytes, text: str) -> bytes:
    value = text.encode()
    value += (b"\0" if kind == b"UI" else b" ") * (len(value) % 2)
    return struct.pack("<HH2sH", 0x0002, element, kind, len(value)) + value
