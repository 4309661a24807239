"""Codes of words that a reader wrote: which words they are, and what a sentence denies.

A code says what words mean, never that something is there.  So words that their sentence denies ("no pneumothorax")
have no code: whoever counts codes would take them for findings.  The rule is simple and errs on the side of no code:
a word of denial before or after, in the same part of a sentence (compare NegEx, Chapman 2001, 10.1006/jbin.2001.1029).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from racoon.domain.questionnaire.words import Coding

LONGEST_WORDS = 200
MOST_CODES = 50
"""Of one answer."""

_PART = re.compile(r"[^.;:!?\n]+")
_DENIAL = re.compile(
    r"\b(?:kein(?:e[mnrs]?)?|ohne|nicht|nie|weder|noch|ausgeschlossen|verneint|frei von"
    r"|no|not|without|never|neither|nor|absent|excluded|denies|denied|free of|negative for)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class CodedWords:
    """Words of a text and what they mean."""

    words: str
    coding: Coding


def stands_in(words: str, text: str) -> bool:
    """Tell whether words stand in a text as whole words, at a place that does not deny them."""
    return any(not _DENIAL.search(part) for part in _parts_with(words, text))


def is_denied(text: str, end: int) -> bool:
    """Tell whether the part of a sentence around a place in a text denies something."""
    return any(
        _DENIAL.search(found.group()) is not None
        for found in _PART.finditer(text)
        if found.start() <= end <= found.end()
    )


def still_standing(codes: Iterable[CodedWords], text: str) -> tuple[CodedWords, ...]:
    """Return the codes whose words still stand in a text, each once, in their order."""
    return tuple(dict.fromkeys(item for item in codes if stands_in(item.words, text)))


def _parts_with(words: str, text: str) -> Iterator[str]:
    wanted = re.compile(rf"(?<!\w){re.escape(words.strip())}(?!\w)", re.IGNORECASE)
    if words.strip():
        yield from (found.group() for found in _PART.finditer(text) if wanted.search(found.group()))
