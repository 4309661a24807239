"""How values of each kind are treated: a handler gives the new value, or None when nothing of the old may stay."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from racoon.node.deid import cleaning
from racoon.node.deid._job import Job
from racoon.standards.dicom import dates
from racoon.standards.dicom.elements import VALUE_SIZE, Element, maximum_values_of, vr_of
from racoon.standards.dicom.text import text_of, values_of
from racoon.standards.dicom.uids import is_uid

_DECIMAL = re.compile(r"[-+0-9.eE]{1,32}")
_DECIMALS = re.compile(rb"[-+0-9.eE \\]*")
_INTEGER = re.compile(r"[-+]?\d{1,12}")

Handler = Callable[[Job, Element, tuple[str, ...]], bytes | None]
"""Gives the new value, or None when nothing of the old one may stay."""


def vr_to_write(job: Job, element: Element) -> str:
    """Settle the VR to write: the dictionary's where the file is vague, never the file's whim."""
    known = vr_of(element.tag)
    if known in ("US or SS", "US or SS or OW"):
        return "SS" if job.is_signed else "US"
    if known == "US or OW":
        return "OW"
    return element.vr if known == "UN" or " " in known else known


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


def _time(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001 -- the signature of all handlers
    values = values_of(element, encodings)
    return "\\".join(values).encode() if values and all(dates.is_time(value) for value in values) else None


def _age(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001 -- the signature of all handlers
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


def _pseudonym(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001 -- the signature of all handlers
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


def _template(text: str) -> str:
    """Template identifiers of PS3.16 are numbers of up to five digits."""
    return text if text.isdigit() and len(text) <= 5 else ""


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


def _label(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    """A name that the object must have: what the reviewed words leave of it, else a stable token."""
    return _text(job, element, encodings) or _token(job, element, encodings)


def _token(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:
    """Replace a local name by a stable token, so that what it tracks stays one thing."""
    text = text_of(element, encodings)
    return job.names.token(text, job.domain).encode() if text else None


LONG_LIST = 4096
"""Bytes from which a list of decimals (a contour) is checked as a whole rather than number by number."""


def _numbers(pattern: re.Pattern[str]) -> Handler:
    def handler(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001 -- the signature of all handlers
        if len(element.value) > LONG_LIST and pattern is _DECIMAL:
            value = bytes(element.value).rstrip(b"\0 ")
            return value if _DECIMALS.fullmatch(value) else None
        values = values_of(element, encodings)
        limit = maximum_values_of(element.tag)
        if not values or (limit is not None and len(values) > limit):
            return None
        if all(pattern.fullmatch(value) or not value for value in values):
            return bytes(element.value).rstrip(b"\0 ")
        return None

    return handler


def _binary(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001 -- the signature of all handlers
    """Copy numbers whose size and count are right; anything else in a binary element could be a message."""
    vr = vr_to_write(job, element)
    size = 2 if vr == "OW" else VALUE_SIZE.get(vr, 0)
    value = bytes(element.value)
    if not value or not size or len(value) % size:
        return None
    limit = maximum_values_of(element.tag)
    if limit is not None and len(value) // size > limit and vr[0] != "O":  # O… is one stream of many numbers
        return None
    return swapped(value, 2 if vr == "AT" else size) if job.is_big_endian else value


def _nothing(job: Job, element: Element, encodings: tuple[str, ...]) -> bytes | None:  # noqa: ARG001 -- the signature of all handlers
    return None


HANDLERS: Mapping[str, Handler] = {
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
    "label": _label,
    "template": lambda job, element, encodings: _each(job, element, encodings, _template),
    "token": _token,
    "decimal": _numbers(_DECIMAL),
    "integer": _numbers(_INTEGER),
    "binary": _binary,
    "name": _nothing,
}


def swapped(value: bytes, size: int) -> bytes:
    """Turn big endian values of a size in bytes into little endian ones."""
    swapped = bytearray(len(value))
    for offset in range(size):
        swapped[offset::size] = value[size - 1 - offset :: size]
    return bytes(swapped)


def little_endian_words(value: bytes, size: int) -> bytes:
    """Turn big endian pixel words into little endian ones; the pixel values stay what they are."""
    return swapped(value, size) if size > 1 else value
