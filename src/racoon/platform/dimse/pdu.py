"""Protocol data units of the upper layer (PS3.8 section 9.3): what an acceptor reads and what it writes."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from racoon.errors import Refused

LARGEST_PDU_BYTES = 1 << 20
"""A PDU may not announce more than this, whatever the settings say."""

HEADER = struct.Struct(">BxL")
"""Type and length of what follows."""

APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"

_FRAGMENT = struct.Struct(">LBB")
_ITEM = struct.Struct(">BxH")
_FIXED_BYTES = 68
_VERSION_1 = 1


class MalformedPdu(Refused):
    """Bytes that are no PDU; the association they came on ends."""

    code = "dimse.malformed_pdu"


class Kind(IntEnum):
    """Types of PDU."""

    ASSOCIATE_RQ = 1
    ASSOCIATE_AC = 2
    ASSOCIATE_RJ = 3
    P_DATA = 4
    RELEASE_RQ = 5
    RELEASE_RP = 6
    ABORT = 7


class _Item(IntEnum):
    APPLICATION = 0x10
    PROPOSED = 0x20
    ANSWERED = 0x21
    ABSTRACT = 0x30
    TRANSFER = 0x40
    USER = 0x50
    LARGEST = 0x51
    IMPLEMENTATION = 0x52
    ROLES = 0x54
    VERSION_NAME = 0x55


class ContextResult(IntEnum):
    """Answers to a proposed presentation context (PS3.8 table 9-18)."""

    ACCEPTED = 0
    ABSTRACT_SYNTAX_NOT_SUPPORTED = 3
    TRANSFER_SYNTAXES_NOT_SUPPORTED = 4


class Rejection(tuple[int, int, int]):
    """Result, source and reason of an A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    __slots__ = ()


APPLICATION_CONTEXT_NOT_SUPPORTED = Rejection((1, 1, 2))
CALLING_TITLE_UNKNOWN = Rejection((1, 1, 3))
CALLED_TITLE_UNKNOWN = Rejection((1, 1, 7))
VERSION_NOT_SUPPORTED = Rejection((1, 2, 2))
TOO_MANY_ASSOCIATIONS = Rejection((2, 3, 2))


@dataclass(frozen=True, slots=True)
class ProposedContext:
    """A presentation context of a request.

    Parameters
    ----------
    context_id
        Odd number.
    abstract_syntax
        UID of the SOP class.
    transfer_syntaxes
        UIDs, in the order the requestor prefers.
    """

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class AcceptedContext:
    """A presentation context in use."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str


@dataclass(frozen=True, slots=True)
class AssociateRequest:
    """An A-ASSOCIATE-RQ (PS3.8 table 9-11).

    Parameters
    ----------
    titles
        Called and calling title and the reserved bytes behind them, to be sent back as they came.
    called, calling
        The titles without padding.
    supports_version_1
        Whether the only version of the protocol is among those offered.
    largest_pdu_bytes
        What the requestor receives in one PDU; 0 for no limit.
    roles
        SOP class to whether the requestor offers to be user and provider.
    """

    titles: bytes
    called: str
    calling: str
    supports_version_1: bool
    application_context: str
    contexts: tuple[ProposedContext, ...]
    largest_pdu_bytes: int = 0
    roles: Mapping[str, tuple[bool, bool]] = field(default_factory=dict)


def decode_request(body: memoryview) -> AssociateRequest:
    """Read an A-ASSOCIATE-RQ behind its header.

    Raises
    ------
    MalformedPdu
        If a length does not fit, a name is not ASCII, or a context is proposed twice.
    """
    if len(body) < _FIXED_BYTES:
        raise MalformedPdu("The request for an association is too short.")
    application, largest = "", 0
    contexts: dict[int, ProposedContext] = {}
    roles: dict[str, tuple[bool, bool]] = {}
    for kind, content in _items(body[_FIXED_BYTES:]):
        if kind == _Item.APPLICATION:
            application = _text(content)
        elif kind == _Item.PROPOSED:
            context = _decode_context(content)
            if contexts.setdefault(context.context_id, context) is not context:
                raise MalformedPdu("The request for an association names a context twice.")
        elif kind == _Item.USER:
            for part, value in _items(content):
                if part == _Item.LARGEST and len(value) == 4:
                    largest = int.from_bytes(value, "big")
                elif part == _Item.ROLES:
                    uid, user, provider = _decode_roles(value)
                    roles[uid] = (user, provider)
    return AssociateRequest(
        titles=bytes(body[4:_FIXED_BYTES]),
        called=_text(body[4:20]),
        calling=_text(body[20:36]),
        supports_version_1=bool(int.from_bytes(body[:2], "big") & _VERSION_1),
        application_context=application,
        contexts=tuple(contexts.values()),
        largest_pdu_bytes=largest,
        roles=roles,
    )


def _decode_context(content: memoryview) -> ProposedContext:
    if len(content) < 4:
        raise MalformedPdu("A presentation context is too short.")
    abstract, transfers = "", []
    for kind, value in _items(content[4:]):
        if kind == _Item.ABSTRACT:
            abstract = _text(value)
        elif kind == _Item.TRANSFER:
            transfers.append(_text(value))
    return ProposedContext(content[0], abstract, tuple(transfers))


def _decode_roles(value: memoryview) -> tuple[str, bool, bool]:
    length = int.from_bytes(value[:2], "big")
    if len(value) != length + 4:
        raise MalformedPdu("A selection of roles has a wrong length.")
    return _text(value[2 : 2 + length]), bool(value[-2]), bool(value[-1])


def _items(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    place = 0
    while place < len(data):
        if place + _ITEM.size > len(data):
            raise MalformedPdu("An item ends within its header.")
        kind, length = _ITEM.unpack_from(data, place)
        place += _ITEM.size
        if place + length > len(data):
            raise MalformedPdu("An item is longer than what holds it.")
        yield kind, data[place : place + length]
        place += length


def _text(value: memoryview) -> str:
    try:
        return bytes(value).decode("ascii").strip(" \0")
    except UnicodeDecodeError as error:
        raise MalformedPdu("A name is not ASCII.") from error


def encode_acceptance(
    request: AssociateRequest,
    answers: Sequence[tuple[ProposedContext, ContextResult, str]],
    *,
    largest_pdu_bytes: int,
    implementation: tuple[str, str],
) -> bytes:
    """Write an A-ASSOCIATE-AC (PS3.8 table 9-17).

    Parameters
    ----------
    request
        What is answered.
    answers
        For each context the result and the accepted transfer syntax.
    largest_pdu_bytes
        What we receive in one PDU.
    implementation
        Class UID and version name.
    """
    accepted = {context.abstract_syntax for context, result, _ in answers if not result}
    user = [_item(_Item.LARGEST, largest_pdu_bytes.to_bytes(4, "big"))]
    user.append(_item(_Item.IMPLEMENTATION, implementation[0].encode()))
    for uid, (as_user, _) in request.roles.items():
        if uid in accepted:
            # The requestor may be what it is anyway; that we call it on this association is never agreed.
            name = uid.encode()
            user.append(_item(_Item.ROLES, struct.pack(">H", len(name)) + name + bytes([as_user, 0])))
    user.append(_item(_Item.VERSION_NAME, implementation[1].encode()))
    contexts = [
        _item(
            _Item.ANSWERED,
            bytes([context.context_id, 0, result, 0]) + _item(_Item.TRANSFER, transfer.encode()),
        )
        for context, result, transfer in answers
    ]
    body = b"".join(
        (
            b"\x00\x01\x00\x00",
            request.titles,
            _item(_Item.APPLICATION, APPLICATION_CONTEXT.encode()),
            *contexts,
            _item(_Item.USER, b"".join(user)),
        )
    )
    return HEADER.pack(Kind.ASSOCIATE_AC, len(body)) + body


def encode_rejection(rejection: Rejection) -> bytes:
    """Write an A-ASSOCIATE-RJ."""
    return HEADER.pack(Kind.ASSOCIATE_RJ, 4) + bytes([0, *rejection])


def encode_release() -> bytes:
    """Write an A-RELEASE-RP."""
    return HEADER.pack(Kind.RELEASE_RP, 4) + bytes(4)


def encode_abort(*, by_provider: bool) -> bytes:
    """Write an A-ABORT; the provider's says that a PDU was out of place (PS3.8 table 9-26)."""
    return HEADER.pack(Kind.ABORT, 4) + (bytes([0, 0, 2, 2]) if by_provider else bytes(4))


def fragments(body: memoryview) -> Iterator[tuple[int, bool, bool, memoryview]]:
    """Give the fragments of a P-DATA-TF (PS3.8 table 9-22): context, command or not, last or not, bytes.

    Raises
    ------
    MalformedPdu
        If a length does not fit.
    """
    place, size = 0, len(body)
    while place < size:
        if place + _FRAGMENT.size > size:
            raise MalformedPdu("A fragment ends within its header.")
        length, context_id, control = _FRAGMENT.unpack_from(body, place)
        end = place + 4 + length
        if length < 2 or end > size:
            raise MalformedPdu("A fragment is longer than its PDU.")
        yield context_id, bool(control & 1), bool(control & 2), body[place + _FRAGMENT.size : end]
        place = end


def encode_message(context_id: int, command: bytes, data: bytes | None, largest_pdu_bytes: int) -> bytes:
    """Write a message as P-DATA-TF PDUs that the peer can receive.

    Parameters
    ----------
    context_id
        Of the presentation context.
    command, data
        Command set and data set, encoded.
    largest_pdu_bytes
        What the peer receives; 0 for no limit.
    """
    room = min(largest_pdu_bytes or LARGEST_PDU_BYTES, LARGEST_PDU_BYTES) - _FRAGMENT.size
    room = max(room, 1)
    written = []
    for part, mark in ((command, 1), (data, 0)):
        if part is None:
            continue
        for start in range(0, max(len(part), 1), room):
            piece = part[start : start + room]
            control = mark | (2 if start + room >= len(part) else 0)
            written.append(HEADER.pack(Kind.P_DATA, len(piece) + _FRAGMENT.size))
            written.append(_FRAGMENT.pack(len(piece) + 2, context_id, control) + piece)
    return b"".join(written)


def _item(kind: _Item, content: bytes) -> bytes:
    return _ITEM.pack(kind, len(content)) + content
