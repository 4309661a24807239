"""Content items of reports, one by one: by concept name and value type (PS3.15 section E.3.4, table E.3.4-1).

Free text passes only for concepts of the standard's table or of our reviewed list, and then word by word; every
other text says REMOVED.  References keep pointing at their images, because UIDs are mapped, never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from racoon.node.deid._handlers import HANDLERS
from racoon.node.deid._job import Job
from racoon.node.deid.rules import Action, action_for_content, reviewed_concepts
from racoon.standards.dicom.dates import OLDEST_AGE_YEARS
from racoon.standards.dicom.elements import Dataset, Element
from racoon.standards.dicom.reading import items_of
from racoon.standards.dicom.text import text_of
from racoon.standards.dicom.writing import encode_element, encode_sequence, encode_text

VALUE_TYPE, _CONCEPT_NAME, CONTENT = 0x0040A040, 0x0040A043, 0x0040A730
_TEXT, _NAME, _DATE, _TIME, _DATETIME = 0x0040A160, 0x0040A123, 0x0040A121, 0x0040A122, 0x0040A120
_CODE, _MEASURED, _NUMERIC = 0x0040A168, 0x0040A300, 0x0040A30A
_CODE_VALUE, _SCHEME = 0x00080100, 0x00080102

_PASS = frozenset(
    {"CONTAINER", "UIDREF", "IMAGE", "COMPOSITE", "WAVEFORM", "SCOORD", "SCOORD3D", "TCOORD", "CODE"}
)
"""Nothing in them but structure, codes, numbers and UIDs, which the ordinary rules treat."""

_DATED = {
    "DATE": (_DATE, "DA", "19000101"),
    "TIME": (_TIME, "TM", "000000"),
    "DATETIME": (_DATETIME, "DT", "19000101000000"),
}

BY_REFERENCE = b"\x40\x00\x73\xdb"
"""Tag of Referenced Content Item Identifier in little endian: where items point at items by number, none may go."""


@dataclass(frozen=True)
class Verdict:
    """What happens to a content item: it goes, or some of its elements are written otherwise."""

    is_dropped: bool = False
    written: dict[int, bytes] = field(default_factory=dict)


KEPT = Verdict()


def judge(job: Job, item: Dataset, encodings: tuple[str, ...]) -> Verdict:
    """Decide on one item; everything that is not said here goes through the ordinary rules."""
    value_type = text_of(item.get(VALUE_TYPE)).upper()
    scheme, code = _concept(item, encodings)
    job.counts[f"content_{value_type.lower() or 'other'}"] += 1
    action = action_for_content(scheme, code, value_type, job.profile)
    reviewed = reviewed_concepts().get(f"{scheme}|{code}|{value_type}", "")
    if value_type in ("IMAGE", "COMPOSITE", "WAVEFORM", "UIDREF"):
        return KEPT  # their UIDs are mapped: a report keeps pointing at its images
    if action is not None and action <= Action.EMPTY and not reviewed:
        return _without(job, item, value_type)
    if value_type == "TEXT":
        return Verdict(written=_text(job, item, encodings, action, reviewed))
    if value_type in _DATED and action is Action.DUMMY:
        tag, vr, dummy = _DATED[value_type]
        return Verdict(written={tag: encode_text(tag, vr, dummy)})
    if value_type == "NUM" and (action is Action.DUMMY or (reviewed == "age" and _is_too_old(item))):
        job.counts["ages_capped"] += reviewed == "age"
        return Verdict(written={_MEASURED: encode_sequence(_MEASURED, ())})
    if value_type == "CODE" and action is Action.DUMMY:
        return Verdict(written={_CODE: encode_sequence(_CODE, [_nothing_said()])})
    if value_type in _PASS or value_type in _DATED or value_type in ("NUM", "PNAME"):
        return KEPT
    return _without(job, item, value_type)


def _concept(item: Dataset, encodings: tuple[str, ...]) -> tuple[str, str]:
    element = item.get(_CONCEPT_NAME)
    names = () if element is None else items_of(element)
    if not names:
        return "", ""
    return text_of(names[0].get(_SCHEME), encodings), text_of(names[0].get(_CODE_VALUE), encodings)


def _without(job: Job, item: Dataset, value_type: str) -> Verdict:
    """Drop an item, or empty it where others count on its place or hang below it."""
    if job.may_drop_items and CONTENT not in item:
        job.counts["content_items_removed"] += 1
        return Verdict(is_dropped=True)
    job.counts["content_values_replaced"] += 1
    written: dict[int, bytes] = {}
    if value_type == "TEXT":
        written[_TEXT] = encode_text(_TEXT, "UT", "REMOVED")
    elif value_type in _DATED:
        tag, vr, dummy = _DATED[value_type]
        written[tag] = encode_text(tag, vr, dummy)
    elif value_type == "NUM":
        written[_MEASURED] = encode_sequence(_MEASURED, ())
    elif value_type == "CODE":
        written[_CODE] = encode_sequence(_CODE, [_nothing_said()])
    elif value_type not in _PASS:
        written |= {
            tag: b"" for tag in (_TEXT, _NAME, _DATE, _TIME, _DATETIME, _CODE, _MEASURED) if tag in item
        }
    return Verdict(written=written)


def _nothing_said() -> bytes:
    return (
        encode_text(0x00080100, "SH", "REMOVED")
        + encode_text(0x00080102, "SH", "99RACOON")
        + encode_text(0x00080104, "LO", "Removed")
    )


def _text(
    job: Job, item: Dataset, encodings: tuple[str, ...], action: Action | None, reviewed: str
) -> dict[int, bytes]:
    element = item.get(_TEXT)
    if element is None:
        return {}
    treatment = reviewed or {Action.CLEAN: "clean", Action.KEEP: "technical"}.get(action or Action.REMOVE, "")
    kind = {"clean": "text", "technical": "technical", "token": "token"}.get(treatment)
    if kind == "text" and "clean_descriptors" not in job.profile.options:
        kind = None
    value = HANDLERS[kind](job, element, encodings) if kind else None
    job.counts["content_texts_replaced"] += value != bytes(element.value).rstrip(b"\0 ")
    return {_TEXT: encode_element(_TEXT, "UT", value or b"REMOVED")}


def _is_too_old(item: Dataset) -> bool:
    values = item.get(_MEASURED)
    for measured in () if values is None else items_of(values):
        try:
            if float(_plain(measured.get(_NUMERIC))) >= OLDEST_AGE_YEARS:
                return True
        except ValueError:
            return True
    return False


def _plain(element: Element | None) -> str:
    return text_of(element)
