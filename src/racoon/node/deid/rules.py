"""The rules as the engine needs them: per SOP class and profile, what happens to each element.

Read once from ``tables/`` (the confidentiality table with its edition, allow-list, profiles, pixel risks,
words).
"""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from functools import cache, lru_cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, NamedTuple

from pydicom.datadict import keyword_for_tag, tag_for_keyword

from racoon.node.deid.model import OPTIONS, Profile, UnknownProfile
from racoon.standards.dicom.elements import vr_of

ENGINE_VERSION = "1"


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
    top, nested
        Steps by tag, for the main data set and for everything inside sequences.
    """

    version: str
    sop_class_name: str
    modality: str
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


def pixel_risks() -> dict[str, Any]:
    """Table of what makes an image suspicious of burned-in text."""
    return _json("pixel_risk.json")


@cache
def profiles() -> Mapping[str, Profile]:
    """Profiles shipped with the product, by name."""
    return {
        name: Profile(
            name=name,
            title=entry["title"],
            options=frozenset(entry["options"]),
            date_shift_limit_days=entry["date_shift_limit_days"],
            birth_date=entry["birth_date"],
            also_remove=frozenset(entry["also_remove"]),
            safe_private=frozenset(entry["safe_private"]),
        )
        for name, entry in _json("profiles.json")["profiles"].items()
    }


def profile_named(name: str) -> Profile:
    """Find a shipped profile.

    Raises
    ------
    UnknownProfile
        With the names there are.
    """
    try:
        return profiles()[name]
    except KeyError:
        raise UnknownProfile(f"There is no profile {name}. Choose one of: {', '.join(profiles())}.") from None


def supported_sop_classes() -> Mapping[str, str]:
    """SOP classes with an allow-list, UID to name."""
    return {uid: entry["name"] for uid, entry in _json("allow_list.json")["sop_classes"].items()}


@cache
def rule_set_version() -> str:
    """Name the rules by the table's edition, the engine's version and a fingerprint of all tables."""
    digest = sha256("\0".join(_resource(name) for name in _TABLES).encode()).hexdigest()
    return f"PS3.15-{edition()}/{ENGINE_VERSION}/{digest[:12]}"


_TABLES = ("allow_list.json", "confidentiality.csv", "pixel_risk.json", "profiles.json", "words.txt")


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
    chosen = [
        resolve(row[option], dicom_type) for option in OPTIONS if option in profile.options and row[option]
    ]
    return max(chosen, default=resolve(row["basic"], dicom_type))


_KIND_BY_KEYWORD = {
    "PatientName": "pseudonym",
    "PatientID": "pseudonym",
    "PatientBirthDate": "birth_date",
    "BodyPartExamined": "open_code",
    "ContentLabel": "open_code",
    "DeviceSerialNumber": "device",
    "StationName": "device",
    "ContrastBolusAgent": "contrast",
    "TrackingID": "token",
    "PixelData": "pixels",
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
    if keyword in _json("allow_list.json")["technical_text"]:
        return "technical"
    return _KIND_BY_VR.get(vr_of(tag), "binary")


def _steps(entries: list[str], profile: Profile) -> dict[int, Step]:
    steps: dict[int, Step] = {}
    for entry in entries:
        keyword, _, dicom_type = entry.partition(":")
        tag = tag_for_keyword(keyword)
        if tag is None:
            raise UnknownProfile(f"The allow-list names an unknown element: {keyword}.")
        kind = _kind(keyword, tag)
        action = action_for(tag, dicom_type or "3", profile)
        if kind in ("pseudonym", "birth_date", "uid", "pixels"):
            action = Action.KEEP  # the treatment itself replaces the value
        steps.setdefault(tag, Step(action, kind, dicom_type or "3"))
    return steps


@lru_cache(maxsize=64)
def rules_for(sop_class_uid: str, profile: Profile) -> RuleSet | None:
    """Compile the rules of a SOP class under a profile; None when there is no allow-list for it."""
    allow_list = _json("allow_list.json")
    entry = allow_list["sop_classes"].get(sop_class_uid)
    if entry is None:
        return None
    top = [keyword for module in entry["modules"] for keyword in allow_list["modules"][module]]
    nested = [keyword for group in entry["nested"] for keyword in allow_list["nested"][group]]
    return RuleSet(
        rule_set_version(), entry["name"], entry["modality"], _steps(top, profile), _steps(nested, profile)
    )
