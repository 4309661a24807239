"""Walk an object and write what may stay.  Untouched values and pixels are copied as bytes, never decoded."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from pydicom.datadict import private_dictionary_VR

from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.deid import cleaning
from racoon.node.deid._marks import marks
from racoon.node.deid.identifiers import KnownIdentifiers
from racoon.node.deid.model import Profile
from racoon.node.deid.rules import Action, RuleSet, Step
from racoon.standards.dicom import dates
from racoon.standards.dicom.elements import (
    PIXEL_DATA,
    VALUE_SIZE,
    Dataset,
    Element,
    maximum_values_of,
    vr_of,
)
from racoon.standards.dicom.reading import items_of
from racoon.standards.dicom.text import encodings_of, text_of, values_of
from racoon.standards.dicom.uids import is_uid
from racoon.standards.dicom.writing import encode_element, encode_sequence, encode_text

_DECIMAL = re.compile(r"[-+0-9.eE]{1,32}")
_INTEGER = re.compile(r"[-+]?\d{1,12}")
_AGE, _BIRTH_DATE, _STUDY_DATE = 0x00101010, 0x00100030, 0x00080020
_CODE_VALUE, _SCHEME, _MEANING = 0x00080100, 0x00080102, 0x00080104

_DUMMY = {"DA": "19000101", "TM": "000000", "DT": "19000101000000", "AS": "000Y", "DS": "0", "IS": "0"}
"""Values that say nothing, where the IOD demands one; every text is "REMOVED"."""


class Names(Protocol):
    """What the engine asks of the pseudonyms' room."""

    def uid(self, original: str, domain: str) -> str:
        """Replace a UID."""

    def token(self, text: str, domain: str) -> str:
        """Replace a short local text."""


@dataclass
class Job:
    """One object on its way through: whose it is, what is known, what was done."""

    names: Names
    domain: str
    patient_id: PatientId
    pseudonym: Pseudonym
    shift_days: int
    profile: Profile
    rules: RuleSet
    known: KnownIdentifiers
    is_big_endian: bool = False
    is_signed: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    original_uids: set[str] = field(default_factory=set)
    written_dates: set[str] = field(default_factory=set)


Handler = Callable[[Job, Element, tuple[str, ...]], bytes | None]
"""Gives the new value, or None when nothing of the old one may stay."""


def encode_header(job: Job, dataset: Dataset) -> bytes:
    """Encode the main data set without its pixels, with the marks of de-identification."""
    encodings = encodings_of(dataset)
    parts: dict[int, bytes] = {}
    for tag, element in dataset.items():
        if tag == PIXEL_DATA:
            continue
        encoded = _encode(job, element, job.rules.top.get(tag), encodings)
        if encoded is not None:
            parts[tag] = encoded
    _add_private(job, dataset, parts)
    _add_subject(job, dataset, parts)
    parts |= marks(job.profile)
    return b"".join(parts[tag] for tag in sorted(parts))


def _encode(job: Job, element: Element, step: Step | None, encodings: tuple[str, ...]) -> bytes | None:
    tag = element.tag
    if step is None:
        job.counts[_class_of(tag)] += 1
        return None
    vr = _vr(job, element)
    if step.kind == "sequence":
        return _encode_sequence(job, element, step, encodings)
    if step.action >= Action.CLEAN:
        value = _HANDLERS[step.kind](job, element, encodings)
        if value is not None:
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


def _vr(job: Job, element: Element) -> str:
    """Settle the VR to write: the dictionary's where the file is vague, never the file's whim."""
    known = vr_of(element.tag)
    if known in ("US or SS", "US or SS or OW"):
        return "SS" if job.is_signed else "US"
    return element.vr if known == "UN" or " " in known else known


def _encode_sequence(job: Job, element: Element, step: Step, encodings: tuple[str, ...]) -> bytes | None:
    if step.action < Action.CLEAN or (element.vr != "SQ" and element.items is None):
        job.counts["table_remove"] += 1
        return None if step.type == "3" else encode_sequence(element.tag, ())
    items = [_encode_item(job, item, encodings_of(item, encodings)) for item in items_of(element)]
    return encode_sequence(element.tag, items)


def _encode_item(job: Job, item: Dataset, encodings: tuple[str, ...]) -> bytes:
    parts: dict[int, bytes] = {}
    is_code = _SCHEME in item or _CODE_VALUE in item
    if is_code:
        parts |= _encode_code(job, item, encodings)
    for tag, element in item.items():
        if is_code and tag in (_CODE_VALUE, _SCHEME, _MEANING):
            continue
        encoded = _encode(job, element, job.rules.nested.get(tag), encodings)
        if encoded is not None:
            parts[tag] = encoded
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


# ------------------------------------------------------------------------------------------------ handlers by
# kind


def _uid(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    replaced: list[str] = []
    for original in values_of(element, encodings):
        if not is_uid(original):
            return None
        new = job.names.uid(original, job.domain)
        if new != original:
            job.original_uids.add(original)
            job.counts["uids_replaced"] += 1
        replaced.append(new)
    return "\\".join(replaced).encode() if replaced else None


def _dates(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    shift = dates.shift_datetime if element.vr == "DT" else dates.shift_date
    shifted = [shift(value, job.shift_days) for value in values_of(element, encodings)]
    if not shifted or not all(shifted):
        return None
    job.counts["dates_shifted"] += len(shifted)
    job.written_dates.update(value[:8] for value in shifted)
    return "\\".join(shifted).encode()


def _time(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001
    values = values_of(element, encodings)
    return "\\".join(values).encode() if values and all(dates.is_time(value) for value in values) else None


def _age(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001
    return dates.cap_age(text_of(element, encodings)).encode() or None


def _birth_date(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    job.counts["birth_date_reduced"] += 1
    day = dates.parse_date(text_of(element, encodings))
    if (
        job.profile.birth_date == "remove"
        or day is None
        or "patient_characteristics" not in job.profile.options
    ):
        return b""
    return f"{day.year:04d}0101".encode()


def _pseudonym(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001
    job.counts["pseudonyms"] += 1
    return job.pseudonym.encode()


def _each(
    job: Job, element: Element, encodings: tuple[str, ...], clean: Callable[[str], str]
) -> bytes | None:
    """Clean value by value, keeping their number: ImageType and kernels mean something by position."""
    values = values_of(element, encodings)
    cleaned = ["" if job.known.occurs_in(value) else clean(value) for value in values]
    if not any(cleaned):
        return None
    if cleaned != values:
        job.counts["texts_cleaned"] += 1
    return "\\".join(cleaned).encode()


def _technical(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    return _each(job, element, encodings, cleaning.clean_technical)


def _device(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    return _each(
        job, element, encodings, lambda value: value if value.isascii() and value.isprintable() else ""
    )


def _code(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    return _each(job, element, encodings, cleaning.clean_code_string)


def _open_code(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    return _each(job, element, encodings, cleaning.clean_open_code_string)


def _text(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    text = text_of(element, encodings)
    if job.known.occurs_in(text):
        text = " ".join(word for word in text.split() if not job.known.occurs_in(word))
    clean = cleaning.clean_text(text, vr_of(element.tag))
    if clean != text:
        job.counts["texts_cleaned"] += 1
    return clean.encode() or None


def _contrast(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    """An agent was given or not: that must stay, even when its name cannot."""
    if not text_of(element, encodings):
        return None
    return _text(job, element, encodings) or b"CONTRAST"


def _token(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    """Replace a local name by a stable token, so that what it tracks stays one thing."""
    text = text_of(element, encodings)
    return job.names.token(text, job.domain).encode() if text else None


def _numbers(pattern: re.Pattern[str]) -> Handler:
    def handler(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001
        values = values_of(element, encodings)
        limit = maximum_values_of(element.tag)
        if not values or (limit is not None and len(values) > limit):
            return None
        if all(pattern.fullmatch(value) or not value for value in values):
            return bytes(element.value).rstrip(b"\0 ")
        return None

    return handler


def _binary(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001
    """Copy numbers whose size and count are right; anything else in a binary element could be a message."""
    vr = _vr(job, element)
    size = VALUE_SIZE.get(vr, 0)
    value = bytes(element.value)
    if not value or not size or len(value) % size:
        return None
    limit = maximum_values_of(element.tag)
    if limit is not None and len(value) // size > limit and vr != "OV":
        return None
    return _swapped(value, 2 if vr == "AT" else size) if job.is_big_endian else value


def _nothing(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001
    return None


_HANDLERS: Mapping[str, Handler] = {
    "uid": _uid,
    "date": _dates,
    "datetime": _dates,
    "time": _time,
    "age": _age,
    "birth_date": _birth_date,
    "pseudonym": _pseudonym,
    "technical": _technical,
    "device": _device,
    "code": _code,
    "open_code": _open_code,
    "text": _text,
    "contrast": _contrast,
    "token": _token,
    "decimal": _numbers(_DECIMAL),
    "integer": _numbers(_INTEGER),
    "binary": _binary,
    "name": _nothing,
}


def _swapped(value: bytes, size: int) -> bytes:
    """Turn big endian values of a size in bytes into little endian ones."""
    swapped = bytearray(len(value))
    for offset in range(size):
        swapped[offset::size] = value[size - 1 - offset :: size]
    return bytes(swapped)


def little_endian_words(value: bytes, size: int) -> bytes:
    """Turn big endian pixel words into little endian ones; the pixel values stay what they are."""
    return _swapped(value, size) if size > 1 else value


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
    value = _HANDLERS[kind](job, element._replace(vr=vr), ())
    return None if value is None else encode_element(element.tag, vr, value)
