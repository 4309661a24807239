"""What is known of the patient in the original, and whether any of it is left in the output, in any
encoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

from racoon.node.deid.cleaning import is_public_meaning, is_reviewed
from racoon.standards.dicom.dates import parse_date
from racoon.standards.dicom.elements import PIXEL_DATA, Buffer, Dataset, Element, name_of
from racoon.standards.dicom.reading import items_of, read_file
from racoon.standards.dicom.text import encodings_of, text_of

SHORTEST_TOKEN = 4
"""Shorter tokens occur by chance in every file."""

LONG_TOKEN = 8
"""Tokens of this length are searched inside longer words too; shorter ones only between word boundaries."""

_IDENTITY = frozenset(
    {
        0x00080050, 0x00080080, 0x00080081, 0x00100020, 0x00100021, 0x00101000, 0x00101001,
        0x00101040, 0x00102154, 0x00102155, 0x00102297, 0x00102160, 0x00102180, 0x001021F0,
        0x00200010, 0x00380010, 0x00380300, 0x00380500, 0x00400009, 0x00401001, 0x00402016,
        0x00402017, 0x00400253, 0x00321032, 0x00080090, 0x00081048, 0x00081050, 0x00081060,
        0x00081070,
    }
)  # fmt: skip
"""Elements besides person names whose values name the patient, the order or the people around."""

_IN_REPORTS = frozenset({0x0040A730, 0x0040A073, 0x0040A078, 0x0040A370})
"""Content, verifying and authoring people, referenced requests."""

_BIRTH_DATE = 0x00100030
_CODE_MEANING = 0x00080104
_OTHER_IDS = 0x00101002
_NUMERIC_VR = frozenset({"DS", "IS", "TM", "UI", "FD", "FL", "US", "SS", "UL", "SL", "AT", "OV", "AS"})
_WORD = re.compile(r"[\^=\s,;\-./\\&()]+")
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")
_UMLAUTS = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "ß": "ss", "Ä": "Ae", "Ö": "Oe", "Ü": "Ue"})


@dataclass(frozen=True)
class KnownIdentifiers:
    """Tokens of one patient.

    Parameters
    ----------
    texts
        Lower-case tokens, for checks of text before it is written.
    tokens
        The same and raw originals as lower-case bytes in every encoding, for the scan of the output.
    """

    texts: frozenset[str]
    tokens: tuple[bytes, ...]

    def united(self, other: KnownIdentifiers) -> KnownIdentifiers:
        """Give what is known of either."""
        return KnownIdentifiers(self.texts | other.texts, tuple(sorted({*self.tokens, *other.tokens})))

    def occurs_in(self, text: str) -> bool:
        """Tell whether a text holds one of the tokens."""
        lower = text.lower()
        return any(token in lower for token in self.texts if len(token) >= LONG_TOKEN) or any(
            word in self.texts for word in _WORD.split(lower.replace("_", " "))
        )


def known_identifiers(dataset: Dataset, *, is_report: bool = False) -> KnownIdentifiers:
    """Collect what the original says about the patient, wherever a person name or number stands.

    Parameters
    ----------
    is_report
        Names stand in the content too: look there as well.
    """
    encodings = encodings_of(dataset)
    facts = set(_facts(dataset, encodings))
    if is_report:
        for tag in _IN_REPORTS & dataset.keys():
            facts |= set(_names_below(dataset[tag], encodings))
    return _tokens(tuple(sorted(facts)))


def _names_below(sequence: Element, encodings: tuple[str, ...]) -> Iterator[tuple[str, str, bytes]]:
    for item in items_of(sequence):
        inner = encodings_of(item, encodings)
        for element in item.values():
            if element.vr == "SQ":
                yield from _names_below(element, inner)
            elif element.vr == "PN" and element.value:
                yield ("text", text_of(element, inner), bytes(element.value))


def _facts(dataset: Dataset, encodings: tuple[str, ...]) -> Iterator[tuple[str, str, bytes]]:
    for tag, element in dataset.items():
        if tag >> 16 & 1 or not element.value:
            continue
        if element.vr == "PN" or tag in _IDENTITY:
            yield ("text", text_of(element, encodings), bytes(element.value))
        elif element.vr == "DA" or tag == _BIRTH_DATE:
            yield ("date", text_of(element), b"")
        elif tag == _OTHER_IDS and element.vr == "SQ":
            for item in items_of(element):
                yield from _facts(item, encodings_of(item, encodings))


@lru_cache(maxsize=512)
def _tokens(facts: tuple[tuple[str, str, bytes], ...]) -> KnownIdentifiers:
    texts: set[str] = set()
    raw: set[bytes] = set()
    for kind, text, value in facts:
        if kind == "date":
            texts |= _date_forms(text)
            continue
        whole = text.strip().lower()
        candidates = {whole, *_WORD.split(whole)}
        texts |= {token for token in candidates if len(token) >= SHORTEST_TOKEN and not _says_nothing(token)}
        # Escape sequences of ISO 2022 split a value into runs; each run is searched as it stood in the file.
        runs = re.split(rb"[\x1b][()$][@-Z()]?[@-Z]?|[\^=\\ ]+", value)
        raw |= {run.lower() for run in runs if len(run) >= SHORTEST_TOKEN and not run.isascii()}
    tokens = {variant for text in texts for variant in _encoded(text)} | raw
    return KnownIdentifiers(frozenset(texts), tuple(sorted(tokens)))


def _says_nothing(token: str) -> bool:
    """A token made only of reviewed words, or of one repeated character, identifies nobody."""
    parts = [part for part in _WORD.split(token.replace("_", " ")) if part]
    return not parts or all(is_reviewed(part) or len(set(part)) == 1 for part in parts)


def _date_forms(text: str) -> set[str]:
    day = parse_date(text)
    if day is None:
        return set()
    return {day.strftime(form) for form in ("%Y%m%d", "%Y-%m-%d", "%d.%m.%Y", "%m/%d/%Y")}


def _encoded(text: str) -> Iterator[bytes]:
    for form in {text, text.upper(), text.translate(_UMLAUTS), text.title()}:
        for encoding in ("utf-8", "latin-1", "utf-16-le", "utf-16-be"):
            encoded = form.encode(encoding, "ignore")
            if len(encoded) >= SHORTEST_TOKEN:
                yield encoded.lower()


def survivors(
    header: bytes, known: KnownIdentifiers, original_uids: Iterable[str], written_dates: Iterable[str]
) -> list[bytes]:
    """Search the output's header for known tokens and original UIDs.

    Parameters
    ----------
    header
        Everything that was written except the pixel data.
    written_dates
        Shifted dates; one of them may equal another original date, which tells nothing.
    """
    lower = header.lower()
    allowed = {date.encode() for date in written_dates}
    found = [
        token for token in known.tokens if token in lower and token not in allowed and _counts(token, lower)
    ]
    originals = {uid.encode() for uid in original_uids}
    found += [match for match in _UID.findall(header) if match in originals]
    return found


def survivors_in_stream(stream: Buffer, known: KnownIdentifiers) -> list[bytes]:
    """Search compressed pixel data for long tokens; shorter ones occur there by chance."""
    lower = bytes(stream).lower()
    return [token for token in known.tokens if len(token) >= LONG_TOKEN and token in lower]


def _counts(token: bytes, lower: bytes) -> bool:
    """A short token counts only as a word of its own."""
    if len(token) >= LONG_TOKEN or not token.isascii():
        return True
    start = lower.find(token)
    while start >= 0:
        before, after = lower[start - 1 : start], lower[start + len(token) : start + len(token) + 1]
        if not before.isalnum() and not after.isalnum():
            return True
        start = lower.find(token, start + 1)
    return False


def confirm(output: bytes, found: list[bytes]) -> list[str]:
    """Say in which elements of the output the tokens stand, leaving out numbers that agree by chance.

    A token of digits inside a UID, all of which are hashes or the standard's, is chance; so is one of fewer
    than eight digits inside a number or a time.  In a text each is a leak.
    """
    places: list[str] = []
    file = read_file(output)
    for dataset in (file.meta, file.dataset):
        for element in _walk(dataset):
            value = bytes(element.value).lower()
            hits = [token for token in found if token in value]
            serious = [token for token in hits if not _is_chance(token, element.vr)]
            if serious and not (element.tag == _CODE_MEANING and is_public_meaning(text_of(element))):
                places.append(name_of(element.tag))
    return sorted(set(places))


def _is_chance(token: bytes, vr: str) -> bool:
    return token.isdigit() and (vr == "UI" or (vr in _NUMERIC_VR and len(token) < LONG_TOKEN))


def _walk(dataset: Dataset) -> Iterator[Element]:
    for element in dataset.values():
        if element.tag == PIXEL_DATA or element.tag >> 16 == 0x7FE0:
            continue
        if element.vr == "SQ":
            for item in items_of(element):
                yield from _walk(item)
        else:
            yield element
