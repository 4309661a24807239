"""Answers to messages in original mode (HL7 v2 chapter 2.9.2): MSA-1 is AA, AE or AR."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from racoon.standards.hl7v2.message import Header

AckCode = Literal["AA", "AE", "AR"]

LONGEST_SENTENCE = 80
"""Length of MSA-3 (chapter 2.14.8.3)."""


def acknowledge(
    header: Header | None, code: AckCode, now: datetime, own_id: str, *, sentence: str = "", site: str = ""
) -> bytes:
    """Build the answer to a message.

    Parameters
    ----------
    header
        Of the message; None where it has none that can be read.
    code
        ``AA`` accepted, ``AE`` something in it is wrong, ``AR`` not taken at all.
    now
        Time of the answer.
    own_id
        Control id of the answer.
    sentence
        Why it was not accepted; without anything of the message.
    site
        Who answers.
    """
    stamp = now.strftime("%Y%m%d%H%M%S%z").encode()
    if header is None:
        header = Header((b"MSH", b"|", b"^~\\&"))
    bar, marks = header.raw(1), header.raw(2)
    event = header.raw(9).split(marks[:1])[1:2]
    kind = marks[:1].join([b"ACK", *[item for item in event if item.isalnum()]])
    plain = _plain(sentence, bar + marks)[:LONGEST_SENTENCE]
    first = [
        b"MSH",
        marks,
        b"RACOON",
        _plain(site, bar + marks),
        header.raw(3),
        header.raw(4),
        stamp,
        b"",
        kind,
    ]
    first += [own_id.encode(), header.raw(11) or b"P", header.raw(12) or b"2.5"]
    if header.raw(18):
        # The control id is given back in its own bytes, so the answer is in the message's encoding.
        first += [b""] * 5 + [header.raw(18)]
    second = [b"MSA", code.encode(), header.raw(10), *([plain] if plain else [])]
    return bar.join(first) + b"\r" + bar.join(second) + b"\r"


def _plain(text: str, marks: bytes) -> bytes:
    return bytes(byte for byte in text.encode("ascii", "replace") if byte >= 0x20 and byte not in marks)
