"""The rules as the engine needs them: per SOP class and profile, what happens to each element.

Read once from ``tables/`` (the confidentiality table with its edition, allow-list, profiles, pixel risks,
words).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from racoon.node.deid.model import OPTIONS, Profile, UnknownProfile
from racoon.standards.dicom.elements import vr_of

ENGINE_VERSION = "2"


class Action(IntEnum):
    """What happens to an element; a larger one keeps more."""

    REMOVE = 0
    EMPTY = 1
    DUMMY = 2
    CLEAN = 3
    KEEP = 4


class Step(NamedTuple):
    """One element's fate in one SOP class: action, how its value is treated, type in the IOD (1, 2 or 3)."""

    action: Action
    kind: str
    type: str


@dataclass(frozen=True)
class RuleSet:
    """All steps for one SOP class and profile.

    Parameters
    ----------
    version
        See :func:`rule_set_version`.
    sop_class_name, modality
        What it is.
    kind
        ``image``, ``segmentation``, ``report``, ``presentation``, ``object`` (nothing to see) or ``document``.
    top, nested
        Steps by tag, for the main data set and for everything inside sequences.
    """

    version: str
    sop_class_name: str
    modality: str
    kind: str
    top: Mapping[int, Step]
    nested: Mapping[int, Step]


def _resource(name: str) -> str:
    return files("racoon.node.deid").joinpath("tables", name).read_text(encoding="utf-8")


@cache
def _json(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(_resource(name))
    return content


@cache
def confidentiality_table() -> Mapping[int, Mapping[str, str]]:
    """Rows of PS3.15 table E.1-1 by tag: the columns ``basic`` and one per option."""
    lines = [line for line in _resource("confidentiality.csv").splitlines() if not line.startswith("#")]
    return {int(row["tag"], 16): row for row in csv.DictReader(lines)}


@cache
def edition() -> str:
    """Edition of the standard that the table transcribes."""
    return _resource("confidentiality.csv").split(maxsplit=4)[3]


@cache
def words() -> frozenset[str]:
    """Reviewed words that free text may keep, in lower case."""
    lines = (line for line in _resource("words.txt").splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())


@cache
def code_terms() -> frozenset[str]:
    """Code strings that may pass: the standard's defined terms, and those that scanners write."""
    names = ("code_strings.txt", "vendor_terms.txt")
    lines = (line for name in names for line in _resource(name).splitlines())
    return frozenset(line.strip() for line in lines if line and not line.startswith("#"))


def pixel_risks() -> dict[str, Any]:
    """Table of what makes an image suspicious of burned-in text, and of what is known to help."""
    return _json("pixel_risk.json")


def reviewed_concepts() -> Mapping[str, str]:
    """Concept names of reports whose text may pass besides the standard's table, with how it is cleaned."""
    concepts: dict[str, str] = _json("reviewed_concepts.json")["concepts"]
    return concepts


@cache
def structured_content_table() -> Mapping[tuple[str, str, str], Mapping[str, str]]:
    """Rows of PS3.15 table E.3.4-1 by coding scheme, code and value type."""
    lines = [line for line in _resource("structured_content.csv").splitlines() if not line.startswith("#")]
    return {(row["scheme"], row["code"], row["value_type"]): row for row in csv.DictReader(lines)}


def profile_tables() -> Mapping[str, Mapping[str, Any]]:
    """Profiles shipped with the product as they stand in their file, by name."""
    tables: dict[str, dict[str, Any]] = _json("profiles.json")["profiles"]
    return tables


def supported_sop_classes() -> Mapping[str, str]:
    """SOP classes with an allow-list, UID to name."""
    return {uid: entry["name"] for uid, entry in _json("allow_list.json")["sop_classes"].items()}


@cache
def rule_set_version() -> str:
    """Name the rules by the table's edition, the engine's version and a fingerprint of all tables."""
    digest = sha256("\0".join(_resource(name) for name in _TABLES).encode()).hexdigest()
    return f"PS3.15-{edition()}/{ENGINE_VERSION}/{digest[:12]}"


_TABLES = (
    "allow_list.json",
    "code_strings.txt",
    "confidentiality.csv",
    "pixel_risk.json",
    "profiles.json",
    "reviewed_concepts.json",
    "structured_content.csv",
    "vendor_terms.txt",
    "words.txt",
)


def resolve(code: str, dicom_type: str) -> Action:
    """Choose among the actions of a table cell by the element's type in the IOD (PS3.15 table E.1-1a).

    A mandatory element is never dropped and never left empty: it gets a dummy that says nothing.
    """
    if code == "K":
        return Action.KEEP
    if code == "C":
        return Action.CLEAN
    if code == "D" or dicom_type == "1":
        return Action.DUMMY
    if dicom_type == "2" or "X" not in code:
        return Action.EMPTY
    return Action.REMOVE


def action_for(tag: int, dicom_type: str, profile: Profile) -> Action:
    """Give the action for an element that the allow-list lets through."""
    if keyword_for_tag(tag) in profile.also_remove:
        return resolve("X", dicom_type)
    row = confidentiality_table().get(tag)
    if row is None or "U" in row["basic"]:
        return Action.KEEP
    return _chosen(row, dicom_type, profile)


def _chosen(row: Mapping[str, str], dicom_type: str, profile: Profile) -> Action:
    chosen = [resolve(row[name], dicom_type) for name in OPTIONS if name in profile.options and row.get(name)]
    return max(chosen, default=resolve(row["basic"], dicom_type))


@lru_cache(maxsize=4096)
def action_for_content(scheme: str, code: str, value_type: str, profile: Profile) -> Action | None:
    """Give the action for a content item by its concept name; None when the standard's table has no such row.

    References and UIDs are mapped, never kept, so "retain UIDs" is not asked.
    """
    row = structured_content_table().get((scheme, code, value_type))
    return None if row is None else _chosen(row, "3", profile)


_KIND_BY_KEYWORD = {
    "PatientName": "pseudonym",
    "PatientID": "pseudonym",
    "PatientBirthDate": "birth_date",
    "StructureSetLabel": "label",
    "ContentLabel": "open_code",
    "NumericValue": "decimal",
    "TemplateIdentifier": "template",
    "DeviceSerialNumber": "device",
    "StationName": "device",
    "ContrastBolusAgent": "contrast",
    "TrackingID": "token",
    "PixelData": "pixels",
    "FloatPixelData": "pixels",
    "DoubleFloatPixelData": "pixels",
}
_KIND_BY_VR = {
    "UI": "uid", "DA": "date", "DT": "datetime", "TM": "time", "AS": "age", "PN": "name", "SQ": "sequence",
    "CS": "code", "DS": "decimal", "IS": "integer", "LO": "text", "SH": "text", "ST": "text", "LT": "text",
    "UC": "text", "UT": "text",
}  # fmt: skip
"""How values of a VR are treated; every other VR is binary and only its size is checked."""


def _kind(keyword: str, tag: int) -> str:
    if keyword in _KIND_BY_KEYWORD:
        return _KIND_BY_KEYWORD[keyword]
    allow_list = _json("allow_list.json")
    if keyword in allow_list["technical_text"]:
        return "technical"
    if keyword in allow_list["open_code"]:
        return "open_code"
    return _KIND_BY_VR.get(vr_of(tag), "binary")


def _steps(entries: Iterable[str], profile: Profile) -> dict[int, Step]:
    types: dict[str, str] = {}
    for entry in entries:
        keyword, _, dicom_type = entry.partition(":")
        types[keyword] = min(types.get(keyword, "3"), dicom_type or "3")  # the strictest module wins
    steps: dict[int, Step] = {}
    for keyword, dicom_type in types.items():
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise UnknownProfile(f"The allow-list names an unknown element: {keyword}.")
        kind = _kind(keyword, tag)
        action = action_for(tag, dicom_type, profile)
        if kind in ("pseudonym", "birth_date", "uid", "pixels"):
            action = Action.KEEP  # the treatment itself replaces the value
        steps[tag] = Step(action, kind, dicom_type)
    return steps


@lru_cache(maxsize=256)
def rules_for(sop_class_uid: str, profile: Profile) -> RuleSet | None:
    """Compile the rules of a SOP class under a profile; None when there is no allow-list for it."""
    allow_list = _json("allow_list.json")
    entry = allow_list["sop_classes"].get(sop_class_uid)
    if entry is None:
        return None
    nested = ["always", *entry["modules"], *(f"macro:{name}" for name in entry["functional_groups"])]
    return RuleSet(
        rule_set_version(),
        entry["name"],
        entry["modality"],
        entry["kind"],
        _steps(_listed(allow_list["top"], entry["modules"]), profile),
        _steps(_listed(allow_list["nested"], nested), profile),
    )


def _listed(lists: Mapping[str, list[str]], names: list[str]) -> Iterator[str]:
    return (keyword for name in names for keyword in lists.get(name, ()))
