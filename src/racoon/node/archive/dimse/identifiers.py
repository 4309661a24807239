"""Identifiers of C-FIND, C-GET and C-MOVE read into the archive's own queries, and its answers written as identifiers.

Study Root and Patient Root information models (PS3.4 sections C.6.1 and C.6.2), with relational queries: a series may
be searched without its study.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from pydicom.datadict import dictionary_VR, keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from racoon.node.archive._documents import Level
from racoon.standards.dicomweb.dicom_json import JsonDataset
from racoon.standards.dicomweb.query import BadQuery, Query, parse_query

LEVELS = {"PATIENT": Level.STUDY, "STUDY": Level.STUDY, "SERIES": Level.SERIES, "IMAGE": Level.INSTANCE}
"""Query/Retrieve Level (PS3.4 section C.3.1); patients are found by their imaging studies."""

UNIQUE_KEYS = {
    "PATIENT": "PatientID",
    "STUDY": "StudyInstanceUID",
    "SERIES": "SeriesInstanceUID",
    "IMAGE": "SOPInstanceUID",
}

_NOT_KEYS = frozenset({"QueryRetrieveLevel", "SpecificCharacterSet", "TimezoneOffsetFromUTC"})


@dataclass(frozen=True)
class Question:
    """What a peer wants to find.

    Parameters
    ----------
    name
        Query/Retrieve Level.
    level
        The archive's level.
    query
        Restrictions and keys.
    keys
        Keywords that come back, with an empty value where the archive has none.
    """

    name: str
    level: Level
    query: Query
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Wanted:
    """What a peer wants to have; UIDs of each level, any number of the lowest, empty above where not said."""

    studies: tuple[str, ...]
    series: tuple[str, ...] = ()
    instances: tuple[str, ...] = ()


def read_question(identifier: Dataset) -> Question:
    """Read the identifier of a C-FIND.

    Raises
    ------
    BadQuery
        If it has no level, or a value that nothing can match.
    """
    name = _level_of(identifier)
    parameters: list[tuple[str, str]] = []
    keys: list[str] = []
    for item in identifier:
        keyword = keyword_for_tag(item.tag)
        # Private attributes, group lengths and attributes newer than our dictionary cannot match anything here.
        if not keyword or item.tag.element == 0 or keyword in _NOT_KEYS:
            continue
        keys.append(keyword)
        text = "" if item.VR == "SQ" else _text(item.value)
        parameters.append((keyword, text) if text else ("includefield", keyword))
    query = parse_query(parameters)
    return Question(name, LEVELS[name], query, tuple(dict.fromkeys([*keys, UNIQUE_KEYS[name]])))


def pages(question: Question, size: int) -> Iterator[Query]:
    """Yield the question page by page, without end: who asks stops at a page that is not full."""
    offset = 0
    while True:
        yield replace(question.query, limit=size, offset=offset)
        offset += size


def write_answer(question: Question, document: JsonDataset, ae_title: str) -> Dataset:
    """Write one result as the identifier of a pending response (PS3.4 section C.4.1.1.3.2)."""
    found = Dataset.from_json(dict(document))
    answer = Dataset()
    answer.SpecificCharacterSet = "ISO_IR 192"
    answer.QueryRetrieveLevel = question.name
    answer.RetrieveAETitle = ae_title
    for keyword in question.keys:
        if keyword in found:
            answer[keyword] = found[keyword]
        elif dictionary_VR(keyword) != "SQ" and keyword not in answer:
            setattr(answer, keyword, None)
    return answer


def read_wanted(identifier: Dataset) -> Wanted:
    """Read the identifier of a C-GET or C-MOVE.

    Raises
    ------
    BadQuery
        If it names nothing to retrieve, or patients: a node's pseudonyms are no handle for a bulk retrieval.
    """
    name = _level_of(identifier)
    if name == "PATIENT":
        raise BadQuery("Whole patients are not retrieved; ask for their imaging studies.")
    wanted = Wanted(
        _uids(identifier, "StudyInstanceUID"),
        _uids(identifier, "SeriesInstanceUID") if name != "STUDY" else (),
        _uids(identifier, "SOPInstanceUID") if name == "IMAGE" else (),
    )
    if (
        not wanted.studies
        or (name == "SERIES" and not wanted.series)
        or (name == "IMAGE" and not wanted.instances)
    ):
        raise BadQuery("Name the imaging study, and at lower levels the series and objects, by UID.")
    return wanted


def _level_of(identifier: Dataset) -> str:
    name = str(identifier.get("QueryRetrieveLevel", "")).strip()
    if name not in LEVELS:
        raise BadQuery(f"The Query/Retrieve Level is one of {', '.join(LEVELS)}.")
    return name


def _uids(identifier: Dataset, keyword: str) -> tuple[str, ...]:
    text = _text(identifier[keyword].value) if keyword in identifier else ""
    return tuple(part for part in text.split("\\") if part)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, MultiValue | list | tuple):
        return "\\".join(str(part) for part in value)
    return str(value).strip()
