"""Messages of HL7 v2.3 to 2.9: their encoding from MSH-18, their segments, fields and escapes (chapter 2)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from racoon.errors import Defect

ENCODINGS = {
    "ASCII": "ascii",
    "8859/1": "latin-1",
    "8859/2": "iso8859-2",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
}
"""HL7 table 0211, as far as hospitals here send it, and the one short form that cannot mean anything else."""

NULL = '""'
"""What stands in a field whose value is to be deleted (chapter 2.5.3)."""

LARGEST_SEGMENTS = 20_000

_SEGMENT_NAME = re.compile(r"[A-Z][A-Z0-9]{2}")
_VERSION = re.compile(r"2\.\d(\.\d)?")
_ESCAPE_HEX = re.compile(r"X(?:[0-9A-Fa-f]{2})+")

REASONS = {
    "no_header": "The message does not begin with MSH and its separators.",
    "no_type": "MSH-9 names no type of message, or MSH-12 no version 2.",
    "no_control_id": "MSH-10 is empty, so that the message could not be told from a second one.",
    "unknown_encoding": "MSH-18 names an encoding that this node does not read. It reads ASCII, 8859/1, 8859/2,"
    " 8859/9, 8859/15 and UNICODE UTF-8.",
    "wrong_encoding": "The bytes are not in the encoding that MSH-18 names, or that is set for messages without one.",
    "no_segments": "A line is no segment: it does not begin with three capital letters or digits.",
    "truncated": "The message breaks off before its end.",
    "too_large": "The message is larger than the node takes.",
}
"""Why a message cannot be read."""


class UnreadableMessage(Defect):
    """A message that cannot be read; which rule it breaks stands in ``reason``."""

    code = "hl7.unreadable"

    def __init__(self, reason: str) -> None:
        super().__init__(REASONS[reason])
        self.reason = reason


@dataclass(frozen=True)
class Header:
    """MSH as bytes, before the encoding is known: enough to answer.

    Parameters
    ----------
    fields
        ``fields[n]`` is MSH-n; the first two are the separators.
    """

    fields: tuple[bytes, ...]

    def raw(self, number: int) -> bytes:
        """Return MSH-``number``, empty where it is missing."""
        return self.fields[number] if number < len(self.fields) else b""

    def text(self, number: int, component: int = 1) -> str:
        """Return a component of a field in ASCII; anything else is shown as a question mark."""
        parts = self.raw(number).split(self.raw(2)[:1])
        return parts[component - 1].decode("ascii", "replace").strip() if component <= len(parts) else ""


class Segment:
    """One segment; fields, repetitions and components are counted from 1 as the standard does.

    Only what is asked for is separated: of a message's hundred fields a reader wants ten.

    Parameters
    ----------
    line
        The segment.
    separators
        MSH-1 and MSH-2: field, component, repetition, escape, subcomponent.
    """

    def __init__(self, line: str, separators: str) -> None:
        self.name: str = line[:3]
        self._fields = line.split(separators[:1])
        if self.name == "MSH":
            # MSH-1 is the separator itself, and nothing of MSH-2 is separated (chapter 2.14.9).
            self._fields.insert(1, separators[:1])
        self._whole = frozenset({1, 2}) if self.name == "MSH" else frozenset()
        self._separators = separators

    def text(self, field: int, component: int = 1, *, part: int = 1, repetition: int = 1) -> str:
        """Return a component, or a part of it, without escapes; empty where there is none."""
        found = self._fields[field] if field < len(self._fields) else ""
        if not found or field in self._whole:
            return found if repetition == component == part == 1 else ""
        marks = self._separators
        for mark, number in ((marks[2], repetition), (marks[1], component), (marks[4:5], part)):
            # Nothing is separated at this depth: what there is, is the first of each.
            parts = found.split(mark) if mark and mark in found else (found,)
            if number > len(parts):
                return ""
            found = parts[number - 1]
        return unescape(found, marks).strip()

    def value(self, field: int, component: int = 1, *, part: int = 1, repetition: int = 1) -> str:
        """Return a component as :meth:`text` does; empty also where the sender says that there is no value."""
        found = self.text(field, component, part=part, repetition=repetition)
        return "" if found == NULL else found

    def is_null(self, field: int) -> bool:
        """Tell whether the sender deletes a field's value; an empty field leaves it as it was."""
        return self.text(field) == NULL

    def repetitions(self, field: int) -> int:
        """Count the repetitions of a field."""
        if field >= len(self._fields):
            return 0
        return 1 if field in self._whole else self._fields[field].count(self._separators[2]) + 1


class Message:
    """A message with its segments.

    Parameters
    ----------
    segments
        In their order, MSH first.
    """

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self.segments = segments

    @property
    def kind(self) -> str:
        """Type and event, such as ``ADT^A01``."""
        return f"{self.header.text(9)}^{self.header.text(9, 2)}".rstrip("^")

    @property
    def header(self) -> Segment:
        """MSH."""
        return self.segments[0]

    def first(self, name: str) -> Segment | None:
        """Return the first segment of a name."""
        return next(self.all(name), None)

    def all(self, name: str) -> Iterator[Segment]:
        """Yield the segments of a name in their order."""
        return (segment for segment in self.segments if segment.name == name)


def read_header(data: bytes) -> Header | None:
    """Return MSH of what may be a message; None where it has none."""
    line = re.split(rb"[\r\n]", data.lstrip(b"\r\n \t\xef\xbb\xbf"), maxsplit=1)[0]
    marks = line[3:8]
    if line[:3] != b"MSH" or len(marks) < 4 or len(set(marks[:4])) < 4 or marks[:4].isalnum():
        return None
    parts = line[4:].split(marks[:1])
    return Header((b"MSH", marks[:1], *parts))


def encoding_of(header: Header, default: str) -> str:
    """Return Python's name of a message's encoding.

    Parameters
    ----------
    header
        MSH.
    default
        Name in table 0211 that holds for messages with an empty MSH-18.

    Raises
    ------
    UnreadableMessage
        If it is none of :data:`ENCODINGS`; nothing is guessed.
    """
    # A repetition names further sets to switch to by escapes; the first one is the message's own.
    named = header.raw(18).split(header.raw(2)[1:2])[0].decode("ascii", "replace").strip().upper()
    found = ENCODINGS.get(named or default)
    if found is None:
        raise UnreadableMessage("unknown_encoding")
    return found


def parse_message(
    data: bytes, *, default_encoding: str = "8859/1", only: frozenset[str] | None = None
) -> Message:
    r"""Read a message.

    Parameters
    ----------
    data
        Content of a block.
    default_encoding
        Name in table 0211 for messages that say none.
    only
        Names of the segments that are wanted beside MSH; the others are not separated into fields.

    Raises
    ------
    UnreadableMessage

    Examples
    --------
    >>> found = parse_message(
    ...     "MSH|^~\\&|KIS||||||ADT^A08|7|P|2.5\rPID|||4711^^^KH^PI||Müller^Änne\r".encode("latin-1")
    ... )
    >>> found.kind, found.first("PID").text(5), found.first("PID").text(3, 4)
    ('ADT^A08', 'Müller', 'KH')
    """
    header = read_header(data)
    if header is None:
        raise UnreadableMessage("no_header")
    if not header.text(9) or not _VERSION.match(header.text(12)):
        raise UnreadableMessage("no_type")
    if not header.raw(10).strip():
        raise UnreadableMessage("no_control_id")
    text = _decoded(data, encoding_of(header, default_encoding))
    lines = [line.strip("\n") for line in text.replace("\r\n", "\r").replace("\n", "\r").split("\r")]
    lines = [line for line in lines if line.strip()]
    if len(lines) > LARGEST_SEGMENTS:
        raise UnreadableMessage("too_large")
    if not all(_SEGMENT_NAME.fullmatch(line[:3]) and line[3:4] in ("", lines[0][3]) for line in lines):
        raise UnreadableMessage("no_segments")
    if only is not None:
        lines = [line for line in lines if line[:3] == "MSH" or line[:3] in only]
    marks = lines[0][4:].partition(lines[0][3])[0][:4]
    separators = lines[0][3] + marks
    return Message(tuple(Segment(line, separators) for line in lines))


def _decoded(data: bytes, encoding: str) -> str:
    body = data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n \t")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        raise UnreadableMessage("wrong_encoding") from error
    if encoding not in ("ascii", "utf-8") and not body.isascii() and _looks_otherwise(body, text):
        raise UnreadableMessage("wrong_encoding")
    return text


def _looks_otherwise(body: bytes, text: str) -> bool:
    """Tell whether bytes are UTF-8 or of Windows: one-byte sets take any byte, and umlauts would be wrong silently."""
    if any("\x80" <= character <= "\x9f" for character in text):
        return True
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def unescape(text: str, separators: str) -> str:
    r"""Replace the escapes of chapter 2.7; highlighting and local ones are left out.

    Parameters
    ----------
    text
        A value.
    separators
        MSH-1 and MSH-2: field, component, repetition, escape, subcomponent.
    """
    if len(separators) < 4 or separators[3] not in text:
        return text
    mark = separators[3]
    values = {"F": separators[0], "S": separators[1], "R": separators[2], "E": mark, ".br": "\n"}
    if len(separators) > 4:
        values["T"] = separators[4]
    made, rest = [], text
    while True:
        before, found, rest = rest.partition(mark)
        made.append(before)
        if not found:
            return "".join(made)
        name, closing, after = rest.partition(mark)
        if not closing:
            # A lone mark is the sender's mistake; the text behind it is still the value.
            made.append(mark + rest)
            return "".join(made)
        if _ESCAPE_HEX.fullmatch(name):
            made.append(bytes.fromhex(name[1:]).decode("latin-1"))
        else:
            made.append(values.get(name, ""))
        rest = after
