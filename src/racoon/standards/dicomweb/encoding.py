"""DICOM JSON straight from the elements of a file (PS3.18 Annex F): no data set object in between.

The archive encodes every instance it takes, so this is written for speed: a CT header takes a fifth of what the way
through general data set objects takes.  ``dicom_json.to_json`` is the slow twin that a test compares it with.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable
from typing import Any

from racoon.standards.dicom.elements import Dataset, Element
from racoon.standards.dicom.reading import items_of
from racoon.standards.dicom.text import DEFAULT_ENCODINGS, encodings_of, text_of
from racoon.standards.dicomweb.dicom_json import BULK_DATA_THRESHOLD, JsonDataset

_FORMATS = {
    "FD": "<d", "FL": "<f", "SL": "<l", "SS": "<h", "SV": "<q", "UL": "<L", "US": "<H", "UV": "<Q",
}  # fmt: skip

_BINARY = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

_SINGLE_TEXT = frozenset({"LT", "ST", "UT", "UR"})
"""Backslash is an ordinary character in these (PS3.5 section 6.2)."""

_PIXEL_TAGS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})


def encode(
    dataset: Dataset,
    encodings: tuple[str, ...] = DEFAULT_ENCODINGS,
    *,
    signs: str = "US",
    leave_out: frozenset[int] = frozenset(),
) -> JsonDataset:
    """Encode the elements of a little endian file.

    Parameters
    ----------
    dataset
        Elements by tag.
    encodings
        Character sets in force around this data set.
    signs
        ``US`` or ``SS``: what Pixel Representation says around this data set.
    leave_out
        Tags to leave out, at this level.

    Returns
    -------
    dict
        Pixel data and group lengths are left out; long binary values are a ``BulkDataURI`` of their key.  A value
        that contradicts its VR is written without ``Value``.
    """
    encodings = encodings_of(dataset, encodings)
    signs = _signs(dataset, signs)
    document: JsonDataset = {}
    for tag in sorted(dataset):
        if tag & 0xFFFF == 0 or tag in _PIXEL_TAGS or tag in leave_out:
            continue
        element = dataset[tag]
        if " or " in element.vr:
            element = element._replace(vr=_resolved(element.vr, signs))
        document[f"{tag:08X}"] = _attribute(element, encodings, signs)
    return document


def _signs(dataset: Dataset, around: str) -> str:
    """VR of pixel-like values: SS when Pixel Representation says so, for the data set and all below it."""
    element = dataset.get(0x00280103)
    return around if element is None or not element.value else ("SS" if element.value[0] else "US")


def _resolved(vr: str, signs: str) -> str:
    """Resolve a dictionary entry with two VRs, which implicit files leave open (PS3.5 Annex A.1)."""
    return "OW" if "OW" in vr else signs


def _attribute(element: Element, encodings: tuple[str, ...], signs: str) -> dict[str, Any]:
    vr = element.vr
    if vr == "SQ":
        items = [encode(item, encodings, signs=signs) for item in items_of(element)]
        return {"vr": vr, "Value": items} if items else {"vr": vr}
    if not element.value:
        return {"vr": vr}
    if vr in _BINARY:
        return _binary(vr, element)
    try:
        values = _values(vr, element, encodings)
    except (ValueError, struct.error):
        return {"vr": vr}
    return {"vr": vr, "Value": values} if any(value is not None for value in values) else {"vr": vr}


def _binary(vr: str, element: Element) -> dict[str, Any]:
    if len(element.value) > BULK_DATA_THRESHOLD:
        return {"vr": vr, "BulkDataURI": f"{element.tag:08X}"}
    return {"vr": vr, "InlineBinary": base64.b64encode(element.value).decode("ascii")}


def _values(vr: str, element: Element, encodings: tuple[str, ...]) -> list[Any]:
    numbers = _FORMATS.get(vr)
    if numbers is not None:
        return [_finite(value) for (value,) in struct.iter_unpack(numbers, element.value)]
    if vr == "AT":
        return [f"{group:04X}{item:04X}" for group, item in struct.iter_unpack("<HH", element.value)]
    if vr in _SINGLE_TEXT:
        text = text_of(element, encodings)
        return [text] if text else []
    convert = _CONVERT.get(vr, _plain)
    return [convert(part.strip()) for part in text_of(element, encodings).split("\\")]


def _finite(value: float) -> float | None:
    # JSON has no infinity; PS3.18 F.2.7 leaves such values out.
    return value if math.isfinite(value) else None


def _plain(text: str) -> str | None:
    return text or None


def _decimal(text: str) -> float | None:
    return _finite(float(text)) if text else None


def _integer(text: str) -> int | None:
    if not text:
        return None
    # Some scanners write "1.0" where a whole number belongs.
    number = float(text)
    if number != int(number):
        raise ValueError(text)
    return int(number)


def _person(text: str) -> dict[str, str] | None:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {name: part.strip() for name, part in groups if part.strip()} or None


_CONVERT: dict[str, Callable[[str], Any]] = {"DS": _decimal, "IS": _integer, "PN": _person}
