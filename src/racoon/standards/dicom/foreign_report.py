"""Read measurement groups of a DICOM SR after TID 1500 (PS3.16), whoever wrote it.

Tolerant: what is not understood is kept with its words, so that a person sees it; nothing is guessed.  Writers place
codes, tracking and coordinates a level up or down and use retired codes; only the value types decide here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from pydicom.dataset import Dataset

from racoon.domain.coding import Code

GROUP = "DCM:125007"
TRACKING_ID, TRACKING_UID = "DCM:112039", "DCM:112040"
FINDINGS = frozenset({"DCM:121071", "SCT:276214006", "SRT:M-010A1"})
SITES = frozenset({"SCT:363698007", "SRT:G-C0E3"})
PERSON_NAME, DEVICE_NAME = "DCM:121008", "DCM:121013"
DEVICE_FACTS = ("DCM:121014", "DCM:121015")
"""Manufacturer and model of an observing device (TID 1004)."""

DEEPEST = 32
"""Deeper nesting than any template has is an attack or a mistake."""


@dataclass(frozen=True)
class Region:
    """Coordinates.

    Parameters
    ----------
    graphic_type
        ``POINT``, ``POLYLINE``, ``CIRCLE``, ``ELLIPSE``, ``POLYGON``, ``MULTIPOINT`` …
    points
        (column, row), the outer corner of the first pixel at 0, 0 (PS3.3 C.18.6.1.2); or LPS mm where spatial.
    instance, frame
        The image; empty where spatial.
    frame_of_reference
        Where spatial, else empty.
    """

    graphic_type: str
    points: tuple[tuple[float, ...], ...]
    instance: str = ""
    frame: int = 1
    frame_of_reference: str = ""


@dataclass(frozen=True)
class ForeignNumber:
    """One measured number as its author wrote it; UCUM unit."""

    name: Code
    value: float
    unit: str
    regions: tuple[Region, ...] = ()


@dataclass(frozen=True)
class ForeignGroup:
    """One measurement group.

    Parameters
    ----------
    tracking_uid, name
        Empty where not said.
    meaning, site
        Code of the finding and of its place in the body.
    segment
        SOP Instance UID of a segmentation and segment number, where it was measured in a mask.
    statements
        Other coded answers: what was asked, what was said.
    """

    tracking_uid: str = ""
    name: str = ""
    meaning: Code | None = None
    site: Code | None = None
    numbers: tuple[ForeignNumber, ...] = ()
    regions: tuple[Region, ...] = ()
    segment: tuple[str, int] | None = None
    statements: tuple[tuple[Code, Code], ...] = ()


@dataclass(frozen=True)
class ForeignReport:
    """What a report says about who made it, and its groups."""

    observer: str
    device: str
    groups: tuple[ForeignGroup, ...] = field(default=())


def read_report(dataset: Dataset) -> ForeignReport:
    """Read a structured report; one without measurement groups has none."""
    everything = list(_walk(dataset))
    said = {_name(item).key: _text(item) for item in everything if _type(item) in ("TEXT", "PNAME")}
    header = " ".join(str(dataset.get(word) or "") for word in ("Manufacturer", "ManufacturerModelName"))
    device = " ".join(said.get(key, "") for key in (DEVICE_NAME, *DEVICE_FACTS)).strip() or header.strip()
    groups = [_group(item) for item in everything if _type(item) == "CONTAINER" and _name(item).key == GROUP]
    return ForeignReport(said.get(PERSON_NAME, "").replace("^", " ").strip(), device, tuple(groups))


def _group(group: Dataset) -> ForeignGroup:
    below = list(_walk(group))
    codes = [
        (_name(item), _concept(item.get("ConceptCodeSequence"))) for item in below if _type(item) == "CODE"
    ]
    by_name = {name.key: value for name, value in reversed(codes)}
    numbers = tuple(found for item in below if _type(item) == "NUM" and (found := _number(item)))
    inside = {id(part) for item in below if _type(item) == "NUM" for part in _walk(item)}
    regions = tuple(_region(item) for item in below if "SCOORD" in _type(item) and id(item) not in inside)
    texts = {_name(item).key: _text(item) for item in below if _type(item) in ("TEXT", "UIDREF")}
    known = FINDINGS | SITES
    return ForeignGroup(
        texts.get(TRACKING_UID, ""),
        texts.get(TRACKING_ID, ""),
        next((by_name[key] for key in by_name if key in FINDINGS), None),
        next((by_name[key] for key in by_name if key in SITES), None),
        numbers,
        regions,
        next((segment for item in below if (segment := _segment(item))), None),
        tuple((name, value) for name, value in codes if name.key not in known),
    )


def _number(item: Dataset) -> ForeignNumber | None:
    """Return a number; one that was qualified as missing has none (PS3.3 C.18.1)."""
    for measured in item.get("MeasuredValueSequence") or ():
        value = measured.get("FloatingPointValue")
        value = measured.get("NumericValue") if value is None else value
        if value in (None, ""):
            continue
        units = _concept(measured.get("MeasurementUnitsCodeSequence"))
        parts = [part for part in _walk(item) if part is not item and "SCOORD" in _type(part)]
        return ForeignNumber(
            _name(item), float(value), units.value or "1", tuple(_region(part) for part in parts)
        )
    return None


def _region(item: Dataset) -> Region:
    values = [float(value) for value in item.get("GraphicData") or ()]
    is_spatial = _type(item) == "SCOORD3D"
    size = 3 if is_spatial else 2
    points = tuple(tuple(values[at : at + size]) for at in range(0, len(values) - size + 1, size))
    if is_spatial:
        frame_of_reference = str(item.get("ReferencedFrameOfReferenceUID") or "")
        return Region(str(item.get("GraphicType") or ""), points, frame_of_reference=frame_of_reference)
    instance, frame = "", 1
    for part in _walk(item):
        for reference in part.get("ReferencedSOPSequence") or ():
            instance = str(reference.get("ReferencedSOPInstanceUID") or "")
            frames = reference.get("ReferencedFrameNumber")
            frame = int(
                frames[0] if isinstance(frames, Sequence) and not isinstance(frames, str) else frames or 1
            )
    return Region(str(item.get("GraphicType") or ""), points, instance, frame)


def _segment(item: Dataset) -> tuple[str, int] | None:
    for reference in item.get("ReferencedSOPSequence") or ():
        number = reference.get("ReferencedSegmentNumber")
        if number is not None:
            first = number[0] if isinstance(number, Sequence) and not isinstance(number, str) else number
            return str(reference.get("ReferencedSOPInstanceUID") or ""), int(first)
    return None


def _walk(item: Dataset, depth: int = 0) -> Iterator[Dataset]:
    yield item
    if depth < DEEPEST:
        for child in item.get("ContentSequence") or ():
            yield from _walk(child, depth + 1)


def _type(item: Dataset) -> str:
    return str(item.get("ValueType") or "")


def _name(item: Dataset) -> Code:
    return _concept(item.get("ConceptNameCodeSequence"))


def _concept(sequence: Sequence[Dataset] | None) -> Code:
    for code in sequence or ():
        value = code.get("CodeValue") or code.get("LongCodeValue") or code.get("URNCodeValue") or ""
        return Code(
            str(value), str(code.get("CodingSchemeDesignator") or ""), str(code.get("CodeMeaning") or "")
        )
    return Code("", "", "")


def _text(item: Dataset) -> str:
    return str(item.get("TextValue") or item.get("PersonName") or item.get("UID") or "")
