"""Text of a DICOM file: any of its character sets in, Unicode out (PS3.5 section 6.1, PS3.3 C.12.1.1.2)."""

from __future__ import annotations

import warnings
from functools import lru_cache

from pydicom.charset import convert_encodings, decode_bytes
from pydicom.valuerep import PN_DELIMS, TEXT_VR_DELIMS

from racoon.standards.dicom.elements import SPECIFIC_CHARACTER_SET, TEXT_VR, Dataset, Element

DEFAULT_ENCODINGS = ("iso8859",)


@lru_cache(maxsize=256)
def _encodings(declared: bytes) -> tuple[str, ...]:
    names = [part.strip().decode("ascii", "replace") for part in declared.strip(b"\0 ").split(b"\\")]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # misspelt names are tolerated; the text then reads as Latin-1
        try:
            return tuple(convert_encodings(names if len(names) > 1 else names[0]))
        except (LookupError, ValueError):
            return DEFAULT_ENCODINGS


def encodings_of(dataset: Dataset, inherited: tuple[str, ...] = DEFAULT_ENCODINGS) -> tuple[str, ...]:
    """Give the character sets in force in a data set, its own or those of the data set around it."""
    element = dataset.get(SPECIFIC_CHARACTER_SET)
    return inherited if element is None or not element.value else _encodings(bytes(element.value))


def text_of(element: Element | None, encodings: tuple[str, ...] = DEFAULT_ENCODINGS) -> str:
    """Decode an element's value without padding; undecodable bytes become replacement characters."""
    if element is None:
        return ""
    raw = bytes(element.value).rstrip(b"\0 ")
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii").strip()
    if element.vr not in TEXT_VR and element.vr != "UN":
        return raw.decode("latin-1").strip()
    delimiters = PN_DELIMS if element.vr == "PN" else TEXT_VR_DELIMS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return decode_bytes(raw, list(encodings), set(delimiters)).strip("\0 ")
        except (LookupError, ValueError):
            return raw.decode("latin-1").strip()


def values_of(element: Element | None, encodings: tuple[str, ...] = DEFAULT_ENCODINGS) -> list[str]:
    """Decode a multi-valued element; no element and an empty one give no values."""
    text = text_of(element, encodings)
    return [part.strip() for part in text.split("\\")] if text else []
