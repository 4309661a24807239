"""A DICOM element as it stands in a file: tag, value representation, bytes (PS3.5 section 7)."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from pydicom.datadict import dictionary_VM, dictionary_VR

from racoon.errors import Defect

Buffer = bytes | memoryview

UNDEFINED_LENGTH = 0xFFFFFFFF
PIXEL_DATA = 0x7FE00010
SPECIFIC_CHARACTER_SET = 0x00080005

LONG_FORM = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""VRs with two reserved bytes and a 32-bit length in explicit encoding (PS3.5 table 7.1-1)."""

SHORT_FORM = frozenset(
    {
        b"AE",
        b"AS",
        b"AT",
        b"CS",
        b"DA",
        b"DS",
        b"DT",
        b"FD",
        b"FL",
        b"IS",
        b"LO",
        b"LT",
        b"PN",
        b"SH",
        b"SL",
        b"SS",
    }
    | {b"ST", b"TM", b"UI", b"UL", b"US"}
)
"""VRs with a 16-bit length in explicit encoding (PS3.5 table 7.1-2)."""

VALUE_SIZE = {
    "AT": 4, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US":
    2, "UV": 8,
}  # fmt: skip
"""Bytes of one value of a binary VR (PS3.5 table 6.2-1)."""

TEXT_VR = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""VRs to which Specific Character Set applies (PS3.5 section 6.1.2.3)."""


class MalformedDicom(Defect):
    """Bytes that are not a DICOM file, or one that is broken."""

    code = "dicom.malformed"


class NotDicom(MalformedDicom):
    """No DICOM file at all."""

    code = "dicom.not_dicom"


class TruncatedDicom(MalformedDicom):
    """The file ends before it should."""

    code = "dicom.truncated"


class TooLarge(MalformedDicom):
    """Lengths or nesting that no honest object has."""

    code = "dicom.too_large"


class Element(NamedTuple):
    """One element.

    Parameters
    ----------
    tag
        Group << 16 | element.
    vr
        Two letters; for implicit files from the dictionary, ``UN`` if unknown.
    value
        Raw bytes without padding removed.  For encapsulated pixel data: all items and the final delimiter.
    items
        Data sets of a sequence, or None when it is no sequence or not parsed yet.
    is_implicit
        True when ``value`` of a sequence holds implicit VR data.
    is_undefined_length
        True for encapsulated pixel data.
    """

    tag: int
    vr: str
    value: Buffer
    items: tuple[Dataset, ...] | None = None
    is_implicit: bool = False
    is_undefined_length: bool = False


class Dataset(dict[int, Element]):
    """Elements by tag; a repeated tag keeps its first element."""


@cache
def vr_of(tag: int) -> str:
    """Look up the VR of a standard element; ``UN`` if unknown or private, ``UL`` for a group length."""
    if tag & 0xFFFF == 0:
        return "UL"
    try:
        return dictionary_VR(tag)
    except KeyError:
        return "UN"


@cache
def maximum_values_of(tag: int) -> int | None:
    """Largest number of values the dictionary allows (VM), None for no limit or an unknown element."""
    try:
        multiplicity = dictionary_VM(tag)
    except KeyError:
        return None
    last = multiplicity.rsplit("-", 1)[-1]
    return int(last) if last.isdigit() else None


def name_of(tag: int) -> str:
    """Write a tag as people read it, ``(0010,0020)``."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
