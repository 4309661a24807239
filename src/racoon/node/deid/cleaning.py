"""Free text and codes without identity: reviewed words stay, everything else goes.

A name nobody thought of cannot pass, because only what is on the list passes (PS3.15 section E.3.5).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

from racoon.node.deid.rules import code_terms, words

_CHUNK = re.compile(r"[\s_,;()\[\]{}<>:=|^~\"'!?]+")
_PART = re.compile(r"[-/+&.*\\]+")
_EDGES = ".-/+*&"
_DECIMAL = re.compile(r"\d{1,3}\.\d{1,2}")
_SMALL_NUMBER = re.compile(r"\d{1,2}")
_WITH_UNIT = re.compile(r"\d{1,4}(?:\.\d{1,3})?(?:mm|cm|ms|s|sec|min|kv|kvp|mas|hu|t|d|%)", re.IGNORECASE)
_KERNEL = re.compile(r"[A-Z][a-z]?\d{2}[a-z]?(?:\\\d)?")
"""Names of reconstruction kernels: B30f, Br40d, I31s, Qr36."""

_TECHNICAL = re.compile(r"[ -~]{1,64}")
_LOOKS_PERSONAL = re.compile(
    r"\d{7}|@|\^|=|(?:19|20)\d\d[-./]\d{1,2}[-./]\d{1,2}|\d{1,2}[./]\d{1,2}[./](?:19|20)?\d\d"
)
"""Long digit runs, addresses, name delimiters and dates have no place in a technical text."""

_CODE_STRING = re.compile(r"[A-Z0-9_ ]{1,16}")
_CODE_VALUE = re.compile(r"[A-Za-z0-9._\-/\[\]%{}*'^]{1,16}")

TRUSTED_SCHEMES = frozenset(
    {
        "SCT",
        "SRT",
        "SNM3",
        "99SDM",
        "DCM",
        "UCUM",
        "LN",
        "RADLEX",
        "FMA",
        "UMLS",
        "NCIt",
        "MDC",
        "I10",
        "99RACOON",
    }
)
"""Coding schemes whose values are public; a value of any other scheme is replaced by a stable token."""

LONGEST = {"LO": 64, "SH": 16, "ST": 1024, "LT": 10240, "UT": 10240, "UC": 10240}
"""Characters a value of a VR may have (PS3.5 table 6.2-1)."""


def is_reviewed(word: str) -> bool:
    """Tell whether a word is on the reviewed list."""
    return word.lower() in words()


_CONNECTING = frozenset({
    *("und", "oder", "mit", "ohne", "von", "der", "die", "das", "im", "am", "an", "bei", "für"),
    *("and", "or", "with", "without", "of", "the", "in", "for"),
})  # fmt: skip
"""What these words joined may be gone; at the edge of what is left they say nothing, or something else."""


@lru_cache(maxsize=4096)
def clean_text(text: str, vr: str = "LO") -> str:
    """Keep the reviewed words, small numbers, measures and kernel names of a text.

    A bare number stays only between kept words, and a chunk with several numbers goes, because such chunks
    are dates,
    telephone numbers and addresses.

    Examples
    --------
    >>> clean_text("Thorax 1.0 B31f for Mr. Miller, 2023-01-04")
    'Thorax 1.0 B31f'
    """
    kept: list[str] = []
    chunks = [chunk for chunk in _CHUNK.split(text.replace("\\", " ")) if chunk.strip(_EDGES)]
    verdicts = [_clean_chunk(chunk) for chunk in chunks]
    for index, (chunk, clean) in enumerate(zip(chunks, verdicts, strict=True)):
        neighbours = verdicts[max(index - 1, 0) : index] + verdicts[index + 1 : index + 2]
        if clean and not (_SMALL_NUMBER.fullmatch(chunk) and not all(neighbours)):
            kept.append(clean)
    is_untouched = kept == [chunk.strip(_EDGES) for chunk in chunks]
    while not is_untouched and kept and kept[0].lower() in _CONNECTING:
        del kept[0]
    while not is_untouched and kept and kept[-1].lower() in _CONNECTING:
        del kept[-1]
    result = text if is_untouched and text.isprintable() and "\\" not in text else " ".join(kept)
    # What is left has to say something: numbers alone do not.
    result = result if any(character.isalpha() for character in result) else ""
    return result[: LONGEST.get(vr, 64)].strip()


def _clean_chunk(chunk: str) -> str:
    chunk = chunk.strip(_EDGES)
    if _is_measure(chunk) or is_reviewed(chunk):
        return chunk
    parts = [part for part in _PART.split(chunk) if part]
    if sum(any(character.isdigit() for character in part) for part in parts) > 1:
        return ""
    good = [part for part in parts if is_reviewed(part) or _is_measure(part)]
    return chunk if good == parts else "-".join(good)


def _is_measure(text: str) -> bool:
    return any(pattern.fullmatch(text) for pattern in (_SMALL_NUMBER, _DECIMAL, _WITH_UNIT, _KERNEL))


def clean_technical(text: str) -> str:
    """Keep one value of a technical text (maker, model, kernel, version) unless it looks personal."""
    text = text.strip()
    return text if _TECHNICAL.fullmatch(text) and not _LOOKS_PERSONAL.search(text) else ""


@lru_cache(maxsize=4096)
def clean_code_string(text: str) -> str:
    """Keep one value of a CS element in the upper case the standard demands, empty otherwise.

    It has to be a defined term of PS3.3, a reviewed term of a scanner, or made of reviewed words: a name that
    somebody wrote into a code string does not pass.
    """
    text = text.strip().upper()
    if _CODE_STRING.fullmatch(text) is None:
        return ""
    return text if text in code_terms() else _of_reviewed_words(text)


def clean_open_code_string(text: str) -> str:
    """Keep a CS element that people fill freely only when it consists of reviewed words."""
    text = text.strip().upper()
    return _of_reviewed_words(text) if _CODE_STRING.fullmatch(text) else ""


def _of_reviewed_words(clean: str) -> str:
    parts = [part for part in re.split(r"[ _]+", clean) if part]
    return (
        clean if parts and all(is_reviewed(part) or _SMALL_NUMBER.fullmatch(part) for part in parts) else ""
    )


_SHAPES = {
    "DCM": re.compile(r"\d{5,6}|[A-Z]{1,12}\d?"),
    "SCT": re.compile(r"\d{6,18}"),
    "LN": re.compile(r"\d{1,6}-\d"),
}
"""Codes of these schemes have one shape; anything else under their name is somebody's own."""


def is_public_code(scheme: str, value: str) -> bool:
    """Tell whether a code may stay as it is."""
    return scheme in TRUSTED_SCHEMES and _SHAPES.get(scheme, _CODE_VALUE).fullmatch(value) is not None


def clean_scheme(scheme: str) -> str:
    """Name the scheme of a local code without telling whose it is, unless its name is made of reviewed
    words.
    """
    name = scheme.upper().removeprefix("99")
    return f"99{name}"[:16] if is_reviewed(name) else "99LOCAL"


def clean_meaning(scheme: str, value: str, meaning: str) -> str:
    """Keep a meaning of reviewed words; else give the code's public one, what can stay, or a neutral one."""
    clean = clean_text(meaning)
    if clean and clean == meaning:
        return clean
    return (_public_meanings().get((scheme, value)) or clean or "Coded concept")[:64]


@lru_cache(maxsize=1)
def _public_meanings() -> dict[tuple[str, str], str]:
    # The only place where pydicom keeps code meanings; large, and most objects need none of them.
    from pydicom.sr._concepts_dict import concepts  # noqa: PLC0415

    dictionary: Any = concepts  # scheme to keyword to code to (meaning, context groups)
    return {
        (scheme, code): meaning
        for scheme, by_keyword in dictionary.items()
        for by_code in by_keyword.values()
        for code, (meaning, _groups) in by_code.items()
    }


@lru_cache(maxsize=4096)
def is_public_meaning(meaning: str) -> bool:
    """Tell whether a text is the meaning of a public code, word for word: then it tells nothing of anybody."""
    return meaning in _public_meanings().values()
