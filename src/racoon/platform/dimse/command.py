"""Command sets of DIMSE messages (PS3.7 section 6.3 and annex E): implicit little endian, group 0000."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from enum import IntEnum

from racoon.platform.dimse.pdu import MalformedPdu

LARGEST_COMMAND_BYTES = 1 << 16

NO_DATA_SET = 0x0101

_ELEMENT = struct.Struct("<HHL")
_NUMBER = struct.Struct("<H")


class Field(IntEnum):
    """Elements of a command set, by their element number."""

    GROUP_LENGTH = 0x0000
    AFFECTED_CLASS = 0x0002
    REQUESTED_CLASS = 0x0003
    COMMAND = 0x0100
    MESSAGE_ID = 0x0110
    MESSAGE_ID_ANSWERED = 0x0120
    DATA_SET_TYPE = 0x0800
    STATUS = 0x0900
    AFFECTED_INSTANCE = 0x1000
    REQUESTED_INSTANCE = 0x1001
    EVENT_TYPE = 0x1002
    ACTION_TYPE = 0x1008


class Operation(IntEnum):
    """Values of the command field that an acceptor meets; an answer has the highest bit."""

    STORE = 0x0001
    ECHO = 0x0030
    EVENT_REPORT = 0x0100
    ACTION = 0x0130
    CANCEL = 0x0FFF


ANSWER = 0x8000


class Command:
    """A command set as it came.

    Parameters
    ----------
    data
        All of its bytes.

    Raises
    ------
    MalformedPdu
        If it cannot be read.
    """

    __slots__ = ("_values",)

    def __init__(self, data: bytes) -> None:
        self._values: dict[int, bytes] = {}
        place = 0
        while place < len(data):
            if place + _ELEMENT.size > len(data):
                raise MalformedPdu("A command set ends within an element.")
            group, element, length = _ELEMENT.unpack_from(data, place)
            place += _ELEMENT.size
            if group or place + length > len(data):
                raise MalformedPdu("A command set has an element that does not belong there.")
            self._values[element] = data[place : place + length]
            place += length

    def number(self, field: Field, default: int | None = None) -> int:
        """Give a number.

        Raises
        ------
        MalformedPdu
            If there is none and no default.
        """
        value = self._values.get(field, b"")
        if len(value) != _NUMBER.size:
            if default is not None:
                return default
            raise MalformedPdu(f"A command set lacks element {field:#06x}.")
        return int.from_bytes(value, "little")

    def uid(self, field: Field) -> str:
        """Give a UID as it stands there, or an empty text; whether it is one is for the caller to judge."""
        return self._values.get(field, b"").decode("ascii", "replace").strip(" \0")

    @property
    def has_data(self) -> bool:
        """Whether a data set follows."""
        return self.number(Field.DATA_SET_TYPE) != NO_DATA_SET


def encode_command(values: Mapping[Field, int | str], *, has_data: bool) -> bytes:
    """Write a command set, its elements in order, its length in front."""
    whole: dict[Field, int | str] = {**values, Field.DATA_SET_TYPE: 0x0001 if has_data else NO_DATA_SET}
    body = b"".join(_element(field, whole[field]) for field in sorted(whole))
    return _ELEMENT.pack(0, Field.GROUP_LENGTH, 4) + struct.pack("<L", len(body)) + body


def _element(field: Field, value: int | str) -> bytes:
    if isinstance(value, int):
        content = _NUMBER.pack(value)
    else:
        content = value.encode("ascii", "replace")
        content += b"\0" * (len(content) % 2)
    return _ELEMENT.pack(0, field, len(content)) + content
