"""Query strings of QIDO-RS (PS3.18 section 8.3.4) read into matches; matching kinds as in PS3.4 section
C.2.2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword

from racoon.errors import Refused

MAXIMUM_VALUE_LENGTH = 256

_BOUND = re.compile(r"[0-9]*(\.[0-9]{1,6})?")
_TAG = re.compile(r"[0-9A-Fa-f]{8}")
_RANGE_VRS = frozenset({"DA", "TM", "DT"})
_WILDCARD_VRS = frozenset({"AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT", "IS"})
_CONTROL = frozenset({"includefield", "limit", "offset", "fuzzymatching"})


class BadQuery(Refused):
    """A query string that does not say what it wants."""

    code = "dicomweb.bad_query"
    status = 400


class MatchKind(StrEnum):
    """Matching kinds; universal matching is left out of a query because it restricts nothing."""

    EXACT = "exact"
    LIST = "list"
    WILDCARD = "wildcard"
    RANGE = "range"


@dataclass(frozen=True)
class Match:
    """One restriction.

    Parameters
    ----------
    keyword
        Attribute; of one inside a sequence the path of keywords with dots (sequence matching).
    kind
        How to compare.
    values
        One value; several for LIST; lower and upper bound, each possibly empty, for RANGE.
    """

    keyword: str
    kind: MatchKind
    values: tuple[str, ...]


@dataclass(frozen=True)
class Query:
    """A whole query.

    Parameters
    ----------
    matches
        Restrictions, all of which must hold.
    include
        Keywords asked for beyond the defaults.
    include_all
        ``includefield=all``.
    limit
        At most so many results; None when the client does not care.
    offset
        Results to skip.
    is_fuzzy
        The client asked for fuzzy matching of person names, which means nothing for pseudonyms.
    """

    matches: tuple[Match, ...] = ()
    include: frozenset[str] = field(default_factory=frozenset)
    include_all: bool = False
    limit: int | None = None
    offset: int = 0
    is_fuzzy: bool = False


def attribute_path(text: str) -> str:
    """Return the path of keywords of an attribute, named by keywords or tags with dots between (PS3.18 8.3.4.1).

    Raises
    ------
    BadQuery
        If an attribute is unknown, or one before the last is no sequence.
    """
    keywords = [attribute_keyword(part) for part in text.split(".")]
    if any(dictionary_VR(keyword) != "SQ" for keyword in keywords[:-1]):
        raise BadQuery("Only a sequence has attributes inside it.")
    return ".".join(keywords)


def vr_of_path(path: str) -> str:
    """Return the VR of the last attribute of a path."""
    return dictionary_VR(path.rpartition(".")[2])


def attribute_keyword(text: str) -> str:
    """Return the keyword of an attribute that is named by keyword or by eight hexadecimal digits.

    Raises
    ------
    BadQuery
        If the data dictionary (PS3.6) does not have it.
    """
    keyword = keyword_for_tag(int(text, 16)) if _TAG.fullmatch(text) else text
    if not keyword or tag_for_keyword(keyword) is None:
        raise BadQuery("The query names an attribute that the DICOM data dictionary does not have.")
    return keyword


def parse_query(parameters: Iterable[tuple[str, str]]) -> Query:
    """Read the parameters of a query.

    Parameters
    ----------
    parameters
        Decoded names and values in their order; names may repeat.

    Returns
    -------
    Query

    Raises
    ------
    BadQuery
        If an attribute is unknown, a value too long, or a number none.
    """
    matches: list[Match] = []
    include: set[str] = set()
    include_all = is_fuzzy = False
    numbers = {"limit": None, "offset": 0}
    for name, value in parameters:
        if name not in _CONTROL:
            match = _match(attribute_path(name), value)
            matches += [match] if match else []
        elif name == "includefield":
            wanted = [item.strip() for item in value.split(",") if item.strip()]
            include_all = include_all or "all" in wanted
            include |= {attribute_path(item).partition(".")[0] for item in wanted if item != "all"}
        elif name == "fuzzymatching":
            is_fuzzy = value.lower() == "true"
        else:
            numbers[name] = _number(name, value)
    return Query(
        tuple(matches), frozenset(include), include_all, numbers["limit"], numbers["offset"] or 0, is_fuzzy
    )


def _number(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise BadQuery(f"The parameter {name} must be a whole number of at most nine digits.")
    return int(value)


def _match(keyword: str, value: str) -> Match | None:
    value = value.strip()
    vr = vr_of_path(keyword)
    if len(value) > MAXIMUM_VALUE_LENGTH and vr != "UI":
        raise BadQuery("A value in the query is too long.")
    if "\x00" in value:
        raise BadQuery("A value in the query has characters that no attribute can have.")
    if not value or set(value) == {"*"} or value == '""':
        return None
    if vr == "SQ":
        raise BadQuery("A sequence has no value; name an attribute inside it with a dot.")
    if vr == "UI":
        uids = tuple(part for part in re.split(r"[,\\]", value) if part)
        return Match(keyword, MatchKind.LIST if len(uids) > 1 else MatchKind.EXACT, uids)
    if vr in _RANGE_VRS and "-" in value:
        low, _, high = value.partition("-")
        if "-" in high:
            raise BadQuery("A range has one hyphen.")
        if not all(_BOUND.fullmatch(bound) for bound in (low, high)):
            raise BadQuery(
                "The bounds of a range are written in digits, as in 20240131-20240229 or 0930-1015."
            )
        return Match(keyword, MatchKind.RANGE, (low, high))
    if vr in _WILDCARD_VRS and ("*" in value or "?" in value):
        return Match(keyword, MatchKind.WILDCARD, (value,))
    return Match(keyword, MatchKind.EXACT, (value,))


def wildcard_to_like(pattern: str) -> str:
    """Translate ``*`` and ``?`` to SQL ``LIKE`` with backslash as escape character."""
    escaped = pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return escaped.replace("*", "%").replace("?", "_")


def wildcard_to_glob(pattern: str) -> str:
    """Translate ``*`` and ``?`` to SQLite's ``GLOB``, which minds case as DICOM does; brackets stand for
    themselves.
    """
    return pattern.replace("[", "[[]")
