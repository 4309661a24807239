"""Whose message it is, and when what it tells happened.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from racoon.node.clinical.hl7.model import KINDS, MERGE, HeldMessage
from racoon.standards.hl7v2.message import Message, Segment

NUMBER_TYPES = ("MR", "PI", "")
"""CX.5 of the number in the images, the best first: HL7 table 0203; German systems say PI where others say MR."""


AT_THE_DOOR = frozenset({"EVN", "PID", "MRG"})
"""Segments that say whose message it is."""

READ = AT_THE_DOOR | {"PV1", "ORC", "OBR", "OBX"}
"""Segments that are worked off."""


def kind_of(message: Message) -> str:
    """Return type and event; an ADT of version 2.3 may name its event in EVN-1 only."""
    kind = message.kind
    event = message.first("EVN")
    if kind == "ADT" and event is not None:
        kind = f"ADT^{event.text(1)}"
    return kind if kind in KINDS else ""


def number_in(segment: Segment | None, field: int, authority: str) -> str:
    """Return the number under which the images came; empty where there is none.

    Parameters
    ----------
    segment
        PID or MRG.
    field
        Its list of identifiers (data type CX).
    authority
        CX.4.1 or CX.4.2 of that number; where empty, the type of the number says which it is.
    """
    if segment is None:
        return ""
    found = []
    for repetition in range(1, segment.repetitions(field) + 1):
        number = segment.text(field, repetition=repetition)
        if not number or number == '""':
            continue
        named = {segment.text(field, 4, part=part, repetition=repetition) for part in (1, 2)}
        kind = segment.text(field, 5, repetition=repetition)
        if authority and authority in named:
            return number
        if not authority and kind in NUMBER_TYPES:
            found.append((NUMBER_TYPES.index(kind), repetition, number))
    return min(found)[2] if found else ""


def merges_in(message: Message, authority: str) -> Iterator[tuple[str, str]]:
    """Yield (old, surviving) numbers of a merge; a message may hold several (structure ADT_A39).

    Raises
    ------
    HeldMessage
        If one of a pair is missing.
    """
    surviving, count = "", 0
    for segment in message.segments:
        if segment.name == "PID":
            surviving = number_in(segment, 3, authority)
        elif segment.name == "MRG":
            old = number_in(segment, 1, authority)
            if not old or not surviving:
                raise HeldMessage("no_survivor")
            count += 1
            yield old, surviving
    if not count:
        raise HeldMessage("no_survivor")


def numbers_of(message: Message, authority: str) -> list[str]:
    """Return every patient's number that a message is about, once each.

    Raises
    ------
    HeldMessage
        If there is none.
    """
    if kind_of(message) == MERGE:
        found = [number for pair in merges_in(message, authority) for number in pair]
    else:
        found = [number_in(segment, 3, authority) for segment in message.all("PID")]
    if not found or not all(found):
        raise HeldMessage("no_patient")
    return list(dict.fromkeys(found))
