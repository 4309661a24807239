"""Walk an object and write what may stay.  Untouched values and pixels are copied as bytes, never decoded."""

from __future__ import annotations

from pydicom.datadict import private_dictionary_VR

from racoon.node.deid import _content, cleaning
from racoon.node.deid._handlers import HANDLERS, vr_to_write
from racoon.node.deid._job import Job
from racoon.node.deid._marks import marks
from racoon.node.deid.rules import Action, Step
from racoon.standards.dicom import dates
from racoon.standards.dicom.elements import PIXEL_DATA, VALUE_SIZE, Dataset, Element
from racoon.standards.dicom.reading import items_of
from racoon.standards.dicom.text import encodings_of, text_of
from racoon.standards.dicom.writing import encode_element, encode_sequence, encode_text

PIXELS = frozenset({PIXEL_DATA, 0x7FE00008, 0x7FE00009})
"""Integer, float and double pixel data: they follow the header and are never part of it."""

_VERIFICATION, _BURNED_IN = 0x0040A493, 0x00280301
_AGE, _BIRTH_DATE, _STUDY_DATE = 0x00101010, 0x00100030, 0x00080020
_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104
_CODE = (_CODE_VALUE, _SCHEME, _MEANING)

_LISTS = frozenset({"DS", "IS", "FD", "FL", "US", "SS", "UL", "SL", "AT"})

_DUMMY = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "DS": "0", "IS": "0"}
"""Values that say nothing, where the IOD demands one; every text is "REMOVED"."""


def encode_header(job: Job, dataset: Dataset) -> bytes:
    """Encode the main data set without its pixels, with the marks of de-identification."""
    encodings = encodings_of(dataset)
    parts: dict[int, bytes] = {}
    for tag, element in dataset.items():
        if tag in PIXELS:
            continue
        encoded = _encode(job, element, job.rules.top.get(tag), encodings)
        if encoded is not None:
            parts[tag] = encoded
    if _VERIFICATION in parts:
        # Who verified is gone, so the report must not say that somebody did (PS3.3 C.17.2).
        parts[_VERIFICATION] = encode_text(_VERIFICATION, "CS", "UNVERIFIED")
    if job.is_blanked and _BURNED_IN in parts:
        parts[_BURNED_IN] = encode_text(_BURNED_IN, "CS", "NO")
    _add_private(job, dataset, parts)
    _add_subject(job, dataset, parts)
    parts |= marks(job.profile, job.used)
    return b"".join(parts[tag] for tag in sorted(parts))


def _encode(job: Job, element: Element, step: Step | None, encodings: tuple[str, ...]) -> bytes | None:
    tag = element.tag
    if step is None:
        job.counts[_class_of(tag)] += 1
        return None
    vr = vr_to_write(job, element)
    if step.kind == "sequence":
        return _encode_sequence(job, element, step, encodings)
    if step.action >= Action.CLEAN:
        value = HANDLERS[step.kind](job, element, encodings)
        if value is not None:
            # A list too long for its VR's length field is written as UN (PS3.5 section 6.2.2, note 3).
            if len(value) > 0xFFFE and vr in _LISTS:
                return encode_element(tag, "UN", value + b" " * (len(value) % 2))
            return encode_element(tag, vr, value)
        if not element.value and step.type != "1":
            return encode_element(tag, vr, b"")
        job.counts["values_dropped"] += 1
    else:
        job.counts[f"table_{step.action.name.lower()}"] += 1
    return _without_value(job, tag, vr, step)


def _without_value(job: Job, tag: int, vr: str, step: Step) -> bytes | None:
    """Drop, empty or fill an element whose value may not stay, as its type in the IOD demands."""
    action = step.action
    if action >= Action.CLEAN:
        action = {"1": Action.DUMMY, "2": Action.EMPTY}.get(step.type, Action.REMOVE)
    if action is Action.REMOVE:
        return None
    if action is Action.EMPTY or vr in VALUE_SIZE:
        return encode_element(tag, vr, b"")
    if vr == "UI":
        return encode_text(tag, vr, job.names.uid("removed", job.domain))
    return encode_text(tag, vr, _DUMMY.get(vr, "REMOVED"))


def _class_of(tag: int) -> str:
    group = tag >> 16
    if group & 1:
        return "removed_private"
    if 0x5000 <= group <= 0x50FF or 0x6000 <= group <= 0x60FF:
        return "removed_overlay_or_curve"
    return "removed_group_length" if tag & 0xFFFF == 0 else "removed_not_on_allow_list"


def _encode_sequence(job: Job, element: Element, step: Step, encodings: tuple[str, ...]) -> bytes | None:
    if step.action < Action.CLEAN or (element.vr != "SQ" and element.items is None):
        job.counts["table_remove"] += 1
        return encode_sequence(element.tag, ()) if step.type == "2" else None
    if element.tag == _content.CONTENT and job.may_drop_items:
        job.may_drop_items = _content.BY_REFERENCE not in bytes(element.value)
    encoded = (_encode_item(job, item, encodings_of(item, encodings)) for item in items_of(element))
    items = [item for item in encoded if item is not None]
    return encode_sequence(element.tag, items) if items or step.type == "2" or not element.value else None


def _encode_item(job: Job, item: Dataset, encodings: tuple[str, ...]) -> bytes | None:
    """Encode an item of a sequence; None for a content item that must go."""
    verdict = _content.judge(job, item, encodings) if _content.VALUE_TYPE in item else _content.KEPT
    if verdict.is_dropped:
        return None
    parts: dict[int, bytes] = {}
    is_code = _SCHEME in item or _CODE_VALUE in item
    if is_code:
        parts |= _encode_code(job, item, encodings)
    for tag, element in item.items():
        if (is_code and tag in _CODE) or tag in verdict.written:
            continue
        encoded = _encode(job, element, job.rules.nested.get(tag), encodings)
        if encoded is not None:
            parts[tag] = encoded
    parts |= verdict.written
    return b"".join(parts[tag] for tag in sorted(parts))


def _encode_code(job: Job, item: Dataset, encodings: tuple[str, ...]) -> dict[int, bytes]:
    """Keep public codes; give a local one a stable token instead of its value (PS3.3 section 8.8)."""
    scheme, value, meaning = (text_of(item.get(tag), encodings) for tag in (_SCHEME, _CODE_VALUE, _MEANING))
    if cleaning.is_public_code(scheme, value) and not job.known.occurs_in(value):
        clean = (value, scheme, cleaning.clean_meaning(scheme, value, meaning))
    else:
        job.counts["local_codes_replaced"] += 1
        token = job.names.token(f"{scheme}\x1f{value}", job.domain)
        clean = (token, cleaning.clean_scheme(scheme), cleaning.clean_meaning("", "", meaning))
    return {
        _CODE_VALUE: encode_text(_CODE_VALUE, "SH", clean[0]),
        _SCHEME: encode_text(_SCHEME, "SH", clean[1]),
        _MEANING: encode_text(_MEANING, "LO", clean[2]),
    }


# ------------------------------------------------------------------------------------------------ what is
# added


def _add_subject(job: Job, dataset: Dataset, parts: dict[int, bytes]) -> None:
    """Write the subject even where the file had none, and an age where only the birth date knew it."""
    for tag, vr in ((0x00100010, "PN"), (0x00100020, "LO")):
        parts[tag] = encode_text(tag, vr, job.pseudonym)
    age = dates.cap_age(text_of(dataset.get(_AGE))) or dates.age_between(
        text_of(dataset.get(_BIRTH_DATE)), text_of(dataset.get(_STUDY_DATE))
    )
    step = job.rules.top.get(_AGE)
    if age and step is not None and step.action >= Action.CLEAN:
        parts[_AGE] = encode_text(_AGE, "AS", age)
    if age == f"{dates.OLDEST_AGE_YEARS:03d}Y" and _BIRTH_DATE in parts:
        parts[_BIRTH_DATE] = encode_element(_BIRTH_DATE, "DA", b"")


def _add_private(job: Job, dataset: Dataset, parts: dict[int, bytes]) -> None:
    """Keep private elements that the profile names, with their creator (PS3.15 section E.3.10)."""
    if not job.profile.safe_private:
        return
    for entry in sorted(job.profile.safe_private):
        creator, group_text, element_text = entry.split("|")
        group = int(group_text, 16)
        for block in range(0x10, 0x100):
            owner = group << 16 | block
            tag = group << 16 | block << 8 | int(element_text, 16)
            if text_of(dataset.get(owner)) != creator or tag not in dataset:
                continue
            value = _private_value(job, dataset[tag], creator)
            if value is not None:
                parts[owner] = encode_text(owner, "LO", creator)
                parts[tag] = value


def _private_value(job: Job, element: Element, creator: str) -> bytes | None:
    vr = element.vr
    if vr == "UN":
        try:
            vr = private_dictionary_VR(element.tag, creator)
        except KeyError:
            return None
    kind = {"DS": "decimal", "IS": "integer", "CS": "code"}.get(vr, "binary" if vr in VALUE_SIZE else "name")
    value = HANDLERS[kind](job, element._replace(vr=vr), ())
    return None if value is None else encode_element(element.tag, vr, value)
