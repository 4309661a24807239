"""Whose message it is, and when what it tells happened.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from racoon.node.clinical.hl7.model import KINDS, MERGE, PARTING, HeldMessage
from racoon.node.pseudonyms.cards import Card
from racoon.science.linkage.filters import Person
from racoon.standards.hl7v2.message import Message, Segment
from racoon.standards.hl7v2.times import fhir_date

NUMBER_TYPES = ("MR", "PI", "")
"""CX.5 of the number in the images, the best first: HL7 table 0203; German systems say PI where others say MR."""


AT_THE_DOOR = frozenset({"EVN", "PID", "MRG"})
"""Segments that say whose message it is."""

READ = AT_THE_DOOR | {"PV1", "DG1", "ORC", "OBR", "OBX", "IPC", "ZDS"}
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
        number = segment.value(field, repetition=repetition)
        if not number:
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


def parted_in(message: Message, authority: str) -> tuple[str, str]:
    """Return the two numbers that are two patients again.

    Raises
    ------
    HeldMessage
        If there are not two.
    """
    found = [number_in(segment, 3, authority) for segment in message.all("PID")]
    if len(found) != 2 or not all(found) or found[0] == found[1]:
        raise HeldMessage("no_pair")
    return found[0], found[1]


_SEXES = {"F": "female", "M": "male", "O": "other", "D": "other"}


def card_of(person: Segment, authority: str) -> Card:
    """Return what a PID says of who a number is."""
    return Card(
        "messages",
        number_in(person, 3, authority),
        Person(
            given=" ".join(filter(None, (person.value(5, 2), person.value(5, 3)))),
            family=person.value(5),
            birth_name=person.value(6),
            born=fhir_date(person.value(7)),
            sex=_SEXES.get(person.value(8), ""),
            postcode=person.value(11, 5),
        ),
    )


def numbers_of(message: Message, authority: str) -> list[str]:
    """Return every patient's number that a message is about, once each.

    Raises
    ------
    HeldMessage
        If there is none.
    """
    if kind_of(message) == MERGE:
        found = [number for pair in merges_in(message, authority) for number in pair]
    elif kind_of(message) == PARTING:
        found = list(parted_in(message, authority))
    else:
        found = [number_in(segment, 3, authority) for segment in message.all("PID")]
    if not found or not all(found):
        raise HeldMessage("no_patient")
    return list(dict.fromkeys(found))
