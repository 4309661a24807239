"""Read a DICOM file tolerantly (PS3.10 section 7, PS3.5 section 7) and say what was tolerated.

Lengths are checked against what is there before anything is read, so a broken or hostile file ends with one
clear
:class:`~racoon.standards.dicom.elements.MalformedDicom`, never with half an object.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from struct import Struct

from racoon.standards.dicom.elements import (
    LONG_FORM,
    PIXEL_DATA,
    SHORT_FORM,
    UNDEFINED_LENGTH,
    Buffer,
    Dataset,
    Element,
    MalformedDicom,
    NotDicom,
    TooLarge,
    TruncatedDicom,
    vr_of,
)
from racoon.standards.dicom.uids import (
    DEFLATED_LITTLE_ENDIAN,
    EXPLICIT_BIG_ENDIAN,
    EXPLICIT_LITTLE_ENDIAN,
    IMPLICIT_LITTLE_ENDIAN,
)

MAXIMUM_DEPTH = 24
"""Nested sequences; enhanced objects and structured reports stay below 12."""

MAXIMUM_ELEMENTS = 3_000_000
"""Elements that are really parsed; a segmentation of 3000 frames has about 100 000."""

MAXIMUM_INFLATED_BYTES = 2 << 30
"""A deflated data set may not grow beyond this: 2 GiB hold 4000 CT slices."""

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_LITTLE_TAG, _BIG_TAG = Struct("<HH"), Struct(">HH")
_SHORT, _BIG_SHORT = Struct("<H"), Struct(">H")
_LONG, _BIG_LONG = Struct("<L"), Struct(">L")
_EXPLICIT = Struct("<HH2sH")
_SHORT_VR = {code: code.decode("ascii") for code in SHORT_FORM}
_SHORT_NAMES = frozenset(_SHORT_VR.values())
_LONG_VR = {code: code.decode("ascii") for code in LONG_FORM if code != b"UN"}


@dataclass(frozen=True)
class DicomFile:
    """A parsed file.

    Parameters
    ----------
    meta
        File meta information, group 0002.
    dataset
        Main data set; values are views into the file's bytes.
    transfer_syntax_uid
        As declared, or as recognised when the file does not say.
    is_big_endian
        True for the retired big endian syntax: numbers and words are in that order.
    tolerated
        What was wrong and read all the same, in plain words.
    """

    meta: Dataset
    dataset: Dataset
    transfer_syntax_uid: str
    is_big_endian: bool = False
    tolerated: tuple[str, ...] = ()


@dataclass
class _Cursor:
    data: memoryview
    is_implicit: bool
    is_big: bool = False
    budget: int = MAXIMUM_ELEMENTS
    tolerated: list[str] = field(default_factory=list)

    def tag(self, at: int) -> int:
        group, element = (_BIG_TAG if self.is_big else _LITTLE_TAG).unpack_from(self.data, at)
        return int(group << 16 | element)

    def long(self, at: int) -> int:
        return int((_BIG_LONG if self.is_big else _LONG).unpack_from(self.data, at)[0])

    def short(self, at: int) -> int:
        return int((_BIG_SHORT if self.is_big else _SHORT).unpack_from(self.data, at)[0])

    def note(self, text: str) -> None:
        if text not in self.tolerated:
            self.tolerated.append(text)


def read_file(data: Buffer) -> DicomFile:
    """Parse a DICOM file.

    Parameters
    ----------
    data
        The whole file, with preamble or without.

    Raises
    ------
    NotDicom, TruncatedDicom, TooLarge, MalformedDicom
        With a sentence that may be shown to anybody.
    """
    view = memoryview(data)
    tolerated: list[str] = []
    start = _find_start(view, tolerated)
    meta_cursor = _Cursor(view, is_implicit=False, tolerated=tolerated)
    meta, start = _read_dataset(meta_cursor, start, len(view), 0, only_group=0x0002)
    body = view[start:]
    syntax = _transfer_syntax(meta, body, tolerated)
    if syntax == DEFLATED_LITTLE_ENDIAN:
        body = memoryview(_inflate(body))
    is_big = syntax == EXPLICIT_BIG_ENDIAN
    cursor = _Cursor(body, is_implicit=syntax == IMPLICIT_LITTLE_ENDIAN, is_big=is_big, tolerated=tolerated)
    dataset, _ = _read_dataset(cursor, 0, len(body), 0)
    if not dataset:
        raise TruncatedDicom("The file ends before its first element.")
    return DicomFile(meta, dataset, syntax, is_big, tuple(tolerated))


def items_of(element: Element) -> tuple[Dataset, ...]:
    """Give the data sets of a sequence, parsing them now if reading did not need to."""
    if element.items is not None:
        return element.items
    cursor = _Cursor(memoryview(element.value), is_implicit=element.is_implicit)
    items, _ = _read_items(cursor, 0, len(cursor.data), 1)
    return items


def _find_start(view: memoryview, tolerated: list[str]) -> int:
    if bytes(view[128:132]) == b"DICM":
        return 132
    if bytes(view[:4]) == b"DICM":
        tolerated.append("no preamble")
        return 4
    if len(view) < 8:
        raise NotDicom("This is not a DICOM file: it is too short to be one.")
    tag = _LITTLE_TAG.unpack_from(view, 0)
    # Some old archives export the bare data set; it starts with group 0002 or 0008 and a plausible element.
    has_vr = bytes(view[4:6]) in SHORT_FORM | LONG_FORM
    if tag[0] in (0x0002, 0x0008) and (has_vr or _LONG.unpack_from(view, 4)[0] < min(len(view), 1024)):
        tolerated.append("no preamble and no DICM prefix")
        return 0
    raise NotDicom("This is not a DICOM file: the prefix DICM is missing.")


def _transfer_syntax(meta: Dataset, body: memoryview, tolerated: list[str]) -> str:
    element = meta.get(0x00020010)
    if element is not None:
        syntax = bytes(element.value).rstrip(b"\0 ").decode("ascii", "replace")
        if syntax:
            return _corrected(syntax, body, tolerated)
    tolerated.append("transfer syntax not declared; recognised from the first element")
    return EXPLICIT_LITTLE_ENDIAN if bytes(body[4:6]) in SHORT_FORM | LONG_FORM else IMPLICIT_LITTLE_ENDIAN


def _corrected(syntax: str, body: memoryview, tolerated: list[str]) -> str:
    """Trust the first element more than the label for the two plain syntaxes, as gateways mix them up."""
    looks_explicit = bytes(body[4:6]) in SHORT_FORM | LONG_FORM
    if syntax == IMPLICIT_LITTLE_ENDIAN and looks_explicit:
        tolerated.append("declared implicit, is explicit")
        return EXPLICIT_LITTLE_ENDIAN
    if syntax == EXPLICIT_LITTLE_ENDIAN and len(body) >= 8 and not looks_explicit:
        tolerated.append("declared explicit, is implicit")
        return IMPLICIT_LITTLE_ENDIAN
    return syntax


def _inflate(body: memoryview) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = stream.decompress(body, MAXIMUM_INFLATED_BYTES)
    except zlib.error as error:
        raise MalformedDicom("The deflated data set cannot be inflated.") from error
    if stream.unconsumed_tail:
        raise TooLarge("The deflated data set grows beyond every honest size.")
    if not stream.eof:
        raise TruncatedDicom("The deflated data set ends too early.")
    return data


def _read_dataset(
    cursor: _Cursor, at: int, end: int, depth: int, only_group: int | None = None
) -> tuple[Dataset, int]:
    """Read elements from ``at`` until ``end``, an item's delimiter, or the first element outside
    ``only_group``.
    """
    if depth > MAXIMUM_DEPTH:
        raise TooLarge("Sequences are nested deeper than any honest object.")
    dataset = Dataset()
    previous = -1
    is_plain = not cursor.is_implicit and not cursor.is_big
    while at < end:
        if end - at < 8:
            return dataset, _accept_padding(cursor, at, end)
        if is_plain and (element := _read_plain(cursor, at, end, previous, only_group)) is not None:
            previous = element.tag
            dataset.setdefault(previous, element)
            at += (8 if element.vr in _SHORT_NAMES else 12) + len(element.value)
            continue
        tag = cursor.tag(at)
        if only_group is not None and tag >> 16 != only_group:
            break
        if tag in (_ITEM_END, _SEQUENCE_END):
            return dataset, at + 8 if tag == _ITEM_END else at
        if tag == 0:
            if not any(cursor.data[at:end]):
                cursor.note("zero bytes after the last element")
                return dataset, end
            raise MalformedDicom("An element has no tag.")
        element, at = _read_element(cursor, at, end, tag, depth)
        if tag <= previous:
            cursor.note("elements out of order or repeated")
        previous = tag
        dataset.setdefault(tag, element)
    return dataset, at


def _read_plain(cursor: _Cursor, at: int, end: int, previous: int, only_group: int | None) -> Element | None:
    """Read an element that is as it should be in explicit little endian; ``None`` for what needs a closer look."""
    group, number, code, length = _EXPLICIT.unpack_from(cursor.data, at)
    tag = group << 16 | number
    start = at + 8
    vr = _SHORT_VR.get(code)
    if vr is None:
        vr = _LONG_VR.get(code)
        if vr is None or end - at < 12:
            return None
        start = at + 12
        length = _LONG.unpack_from(cursor.data, at + 8)[0]
    is_wanted = only_group is None or group == only_group
    if (
        tag <= max(previous, 0)
        or length > end - start
        or group == 0xFFFE
        or not is_wanted
        or cursor.budget < 1
    ):
        return None
    cursor.budget -= 1
    return Element(tag, vr, cursor.data[start : start + length], None, False)


def _accept_padding(cursor: _Cursor, at: int, end: int) -> int:
    if any(cursor.data[at:end]):
        raise TruncatedDicom("The file ends inside an element.")
    cursor.note("zero bytes after the last element")
    return end


def _read_element(cursor: _Cursor, at: int, end: int, tag: int, depth: int) -> tuple[Element, int]:
    cursor.budget -= 1
    if cursor.budget < 0:
        raise TooLarge("The object has more elements than any honest one.")
    vr, length, at, is_implicit = _read_header(cursor, at, end, tag)
    if length == UNDEFINED_LENGTH:
        return _read_undefined(cursor, at, end, tag, vr, depth)
    if length > end - at:
        raise TruncatedDicom("The file ends inside an element.", details={"tag": f"{tag:08X}"})
    value = cursor.data[at : at + length]
    if vr == "SQ" and cursor.is_big:
        items, _ = _read_items(cursor, at, at + length, depth + 1)
        return Element(tag, "SQ", value, items), at + length
    return Element(tag, vr, value, None, is_implicit), at + length


def _read_header(cursor: _Cursor, at: int, end: int, tag: int) -> tuple[str, int, int, bool]:
    """Give VR, length, where the value starts, and whether a sequence's content is implicit."""
    if cursor.is_implicit:
        return vr_of(tag), cursor.long(at + 4), at + 8, True
    code = bytes(cursor.data[at + 4 : at + 6])
    if code in SHORT_FORM:
        return code.decode("ascii"), cursor.short(at + 6), at + 8, False
    if code in LONG_FORM or (code.isalpha() and code.isupper()):
        if end - at < 12:
            raise TruncatedDicom("The file ends inside an element.")
        vr = code.decode("ascii") if code in LONG_FORM else "UN"
        if vr != "UN":
            return vr, cursor.long(at + 8), at + 12, False
        # A gateway that did not know an element writes UN; its content is implicit little endian (PS3.5
        # 6.2.2).
        known = vr_of(tag)
        return (known if known != "UN" else "UN"), cursor.long(at + 8), at + 12, True
    cursor.note("elements without a value representation in an explicit file")
    return vr_of(tag), cursor.long(at + 4), at + 8, True


def _read_undefined(cursor: _Cursor, at: int, end: int, tag: int, vr: str, depth: int) -> tuple[Element, int]:
    if tag == PIXEL_DATA:
        after = _skip_fragments(cursor, at, end)
        return Element(tag, "OB", cursor.data[at:after], None, False, True), after
    if vr not in ("SQ", "UN"):
        raise MalformedDicom("An element that is no sequence has no length.", details={"tag": f"{tag:08X}"})
    was_implicit = cursor.is_implicit
    if vr == "UN":
        cursor.is_implicit = True
    items, after = _read_items(cursor, at, end, depth + 1, needs_delimiter=True)
    cursor.is_implicit = was_implicit
    return Element(tag, "SQ", cursor.data[at:after], items), after


def _read_items(
    cursor: _Cursor, at: int, end: int, depth: int, *, needs_delimiter: bool = False
) -> tuple[tuple[Dataset, ...], int]:
    items: list[Dataset] = []
    while at < end:
        if end - at < 8:
            raise TruncatedDicom("The file ends inside a sequence.")
        tag, length = cursor.tag(at), cursor.long(at + 4)
        at += 8
        if tag == _SEQUENCE_END:
            return tuple(items), at
        if tag != _ITEM:
            raise MalformedDicom("A sequence holds something that is no item.")
        if length == UNDEFINED_LENGTH:
            item, at = _read_dataset(cursor, at, end, depth)
        else:
            if length > end - at:
                raise TruncatedDicom("The file ends inside a sequence item.")
            item, _ = _read_dataset(cursor, at, at + length, depth)
            at += length
        items.append(item)
    if needs_delimiter:
        raise TruncatedDicom("The file ends inside a sequence.")
    return tuple(items), at


def _skip_fragments(cursor: _Cursor, at: int, end: int) -> int:
    """Walk encapsulated pixel data (PS3.5 section A.4) and return where it ends."""
    while True:
        if end - at < 8:
            raise TruncatedDicom("The pixel data end too early.")
        tag, length = cursor.tag(at), cursor.long(at + 4)
        at += 8
        if tag == _SEQUENCE_END:
            return at
        if tag != _ITEM or length == UNDEFINED_LENGTH:
            raise MalformedDicom("The compressed pixel data hold something that is no fragment.")
        if length > end - at:
            raise TruncatedDicom("The pixel data end too early.")
        at += length
