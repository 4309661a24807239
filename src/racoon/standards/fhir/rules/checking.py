"""Checks a resource against FHIR R4's own rules and the tables of the profiles it claims."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from racoon.standards.fhir.building import ID_PATTERN, UCUM, Resource
from racoon.standards.fhir.rules import paths, sentences
from racoon.standards.fhir.rules.base import ELEMENTS, REQUIRED
from racoon.standards.fhir.rules.extensions import EXTENSIONS
from racoon.standards.fhir.rules.model import ExtensionRules, Issue, PartRules, ProfileRules, Rule, contains
from racoon.standards.fhir.rules.tables import profile_rules
from racoon.standards.fhir.rules.value_sets import VALUE_SETS
from racoon.standards.fhir.versions import DEFAULT_VERSION, MII, VERSIONS, ProfileVersion

_DATETIME = re.compile(
    r"\d{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12]\d|3[01])"
    r"(T([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?(Z|[+-](0\d|1[0-4]):[0-5]\d))?)?)?"
)
_INSTANT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?(Z|[+-]\d{2}:\d{2})")
_REFERENCE = re.compile(
    r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?|#[A-Za-z0-9\-.]*"
    r"|urn:(uuid|oid):[A-Za-z0-9\-.]+|https?://\S+)"
)
_OID = re.compile(r"[0-2](\.(0|[1-9]\d*))+")

_DATES = frozenset(
    {
        "birthDate", "authoredOn", "recordedDate", "dateTime", "started", "start", "end", "dateAsserted",
    }
)  # fmt: skip
_INSTANTS = frozenset({"issued", "lastUpdated", "recorded"})

MAXIMUM_DEPTH = 40
"""No resource nests this deep; a file that does is an attack or a mistake."""


def check(resource: Resource, version: ProfileVersion | None = None) -> list[Issue]:
    """Check one resource.

    Parameters
    ----------
    resource
        Any resource; a type without a table is checked for the shape of its data types only.
    version
        Package of profiles; the default of the product when omitted.

    Returns
    -------
    list of Issue
        In a stable order; empty when nothing is wrong.  No issue quotes a value.
    """
    kind = resource.get("resourceType")
    if not isinstance(kind, str) or not kind:
        return [Issue("error", "structure", "Resource", sentences.NO_RESOURCE)]
    used = version or VERSIONS[DEFAULT_VERSION]
    issues = list(_structure(kind, resource))
    issues += _apply(REQUIRED.get(kind, ()), {}, (kind, resource), "R4")
    profiles = resource.get("meta", {}).get("profile", []) if isinstance(resource.get("meta"), dict) else []
    for url in profiles if isinstance(profiles, list) else []:
        table = profile_rules(url, used) if isinstance(url, str) else None
        if table is None:
            if isinstance(url, str) and url.startswith(MII):
                text = sentences.NO_TABLE
                issues.append(Issue("information", "not-supported", f"{kind}.meta.profile", text))
            continue
        issues += check_profile(resource, table)
    return list(dict.fromkeys(issues))


def check_profile(resource: Resource, table: ProfileRules) -> list[Issue]:
    """Check one resource against one table, whether or not it claims the profile."""
    kind = str(resource.get("resourceType"))
    if kind != table.resource_type:
        text = sentences.OTHER_TYPE % {"name": table.resource_type}
        return [Issue("error", "structure", kind, text, table.url)]
    issues = _apply(table.rules, table.slices, (kind, resource), table.url)
    issues += [
        Issue(rule.severity, "invariant", kind, rule.message, table.url, rule.key)
        for rule in table.invariants
        if not rule.holds(resource)
    ]
    return issues


def _apply(rules: tuple[Rule, ...], slices: Mapping[str, Any], root: paths.Node, url: str) -> list[Issue]:
    issues: list[Issue] = []
    for rule in rules:
        head, _, last = rule.path.rpartition(".")
        name = last.partition(":")[0]
        key = paths.slice_key(rule.path) if ":" in last else ""
        for parent in paths.resolve(root, head, slices):
            found = paths.children(parent, name, slices[key] if key else None)
            place = f"{parent[0]}.{last}"
            if len(found) < rule.low:
                text = sentences.TOO_FEW % {"number": rule.low}
                issues.append(Issue("error", "required", place, text, url))
            if rule.high is not None and len(found) > rule.high:
                text = sentences.TOO_MANY % {"number": rule.high}
                issues.append(Issue("error", "structure", place, text, url))
            for node in found:
                issues += _content(rule, node, url)
    return issues


def _content(rule: Rule, node: paths.Node, url: str) -> Iterator[Issue]:
    place, value = node
    if rule.pattern is not None and not contains(value, rule.pattern):
        yield Issue("error", "value", place, sentences.NOT_FIXED, url)
    if rule.codes:
        yield from _bound(value, rule.codes, place, url)
    if rule.targets:
        yield from _target(value, rule.targets, place, url)


def _bound(value: Any, key: str, place: str, url: str) -> Iterator[Issue]:
    value_set = VALUE_SETS[key]
    if isinstance(value, str):
        if not value_set.holds(value):
            yield Issue("error", "code-invalid", place, sentences.NO_MEMBER % {"name": key}, url)
        return
    codings = value.get("coding", []) if isinstance(value, dict) and "coding" in value else [value]
    for item in codings if isinstance(codings, list) else []:
        if not isinstance(item, dict):
            continue
        if item.get("system") == value_set.system:
            if not value_set.holds(str(item.get("code", ""))):
                yield Issue("error", "code-invalid", place, sentences.NO_MEMBER % {"name": key}, url)
            return
    yield Issue("error", "code-invalid", place, sentences.NO_SYSTEM % {"name": key}, url)


def _target(value: Any, targets: tuple[str, ...], place: str, url: str) -> Iterator[Issue]:
    text = value.get("reference") if isinstance(value, dict) else None
    match = re.fullmatch(r"(?:https?://\S+/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}", text or "")
    if match is not None and match[1] not in targets:
        yield Issue("error", "value", place, sentences.TARGETS % {"names": ", ".join(targets)}, url)


# -- R4: the shape of data types, wherever they stand


def _structure(kind: str, resource: Resource) -> Iterator[Issue]:
    known = ELEMENTS.get(kind)
    identity = resource.get("id")
    if identity is not None and (not isinstance(identity, str) or not ID_PATTERN.fullmatch(identity)):
        yield Issue("error", "value", f"{kind}.id", sentences.BAD_ID)
    if known is not None:
        for name in resource:
            if not _is_known(name.removeprefix("_"), known):
                yield Issue("error", "structure", f"{kind}.?", sentences.UNKNOWN_ELEMENT)
    yield from _walk(kind, kind, resource, 0)


def _is_known(name: str, known: frozenset[str]) -> bool:
    if name in known:
        return True
    stems = (stem[:-3] for stem in known if stem.endswith("[x]"))
    return any(name.startswith(stem) and name[len(stem) : len(stem) + 1].isupper() for stem in stems)


def _walk(place: str, context: str, value: Any, depth: int) -> Iterator[Issue]:
    if depth > MAXIMUM_DEPTH:
        yield Issue("error", "structure", place, sentences.TOO_DEEP)
        return
    if isinstance(value, dict):
        if not value:
            yield Issue("error", "structure", place, sentences.EMPTY_OBJECT)
        yield from _object(place, value)
        for name, content in value.items():
            if name == "extension" and isinstance(content, list):
                yield from _extensions(f"{place}.extension", context, content)
            if isinstance(content, list) and not content:
                yield Issue("error", "structure", f"{place}.{_shown(name)}", sentences.EMPTY_LIST)
            items = enumerate(content) if isinstance(content, list) else ((None, content),)
            for index, item in items:
                inner = f"{place}.{_shown(name)}" + ("" if index is None else f"[{index}]")
                yield from _primitive(inner, name, item)
                yield from _walk(inner, f"{context}.{name}", item, depth + 1)
    elif isinstance(value, str) and not value.strip():
        yield Issue("error", "value", place, sentences.EMPTY_TEXT)


def _shown(name: str) -> str:
    """Names of elements are shown only when they look like one: a file may hold anything as a key."""
    return name if re.fullmatch(r"_?[a-z][A-Za-z]{0,40}", name) else "?"


def _primitive(place: str, name: str, value: Any) -> Iterator[Issue]:
    if not isinstance(value, str):
        return
    if name in _INSTANTS:
        if not _INSTANT.fullmatch(value):
            yield Issue("error", "value", place, sentences.NO_INSTANT)
    elif (name in _DATES or name.endswith("DateTime") or name == "valueDate") and not _DATETIME.fullmatch(
        value
    ):
        yield Issue("error", "value", place, sentences.NO_DATE)


def _object(place: str, value: Resource) -> Iterator[Issue]:
    text = value.get("reference")
    if isinstance(text, str) and not _REFERENCE.fullmatch(text):
        yield Issue("error", "value", f"{place}.reference", sentences.NO_REFERENCE)
    if "code" in value and "value" in value and isinstance(value["value"], int | float):
        if not value.get("system"):
            yield Issue("error", "invariant", place, sentences.NO_UNIT_SYSTEM)
    elif "value" in value and "unit" in value and not isinstance(value["value"], int | float):
        yield Issue("error", "value", f"{place}.value", sentences.NO_NUMBER)
    if value.get("system") == "urn:dicom:uid":
        found = value.get("value")
        if not isinstance(found, str) or not _is_oid_urn(found):
            yield Issue("error", "value", f"{place}.value", sentences.NO_UID)
    start, end = value.get("start"), value.get("end")
    if isinstance(start, str) and isinstance(end, str) and start[:10] > end[:10]:
        yield Issue("error", "invariant", place, sentences.BACKWARDS)


def _is_oid_urn(text: str) -> bool:
    return text.startswith("urn:oid:") and _OID.fullmatch(text[8:]) is not None


# -- extensions of the imaging module


def _extensions(place: str, context: str, found: list[Any]) -> Iterator[Issue]:
    for index, item in enumerate(found):
        here = f"{place}[{index}]"
        if not isinstance(item, dict) or not isinstance(item.get("url"), str):
            yield Issue("error", "structure", here, sentences.NO_URL)
            continue
        has_value = any(name.startswith("value") for name in item)
        if has_value == bool(item.get("extension")):
            yield Issue("error", "invariant", here, sentences.VALUE_AND_PARTS)
        table = EXTENSIONS.get(item["url"])
        if table is not None:
            yield from _extension(here, context, item, table)
        elif item["url"].startswith(f"{MII}/ext/modul-bildgebung/"):
            yield Issue("error", "structure", here, sentences.NO_EXTENSION)


def _extension(place: str, context: str, item: Resource, table: ExtensionRules) -> Iterator[Issue]:
    if context not in table.contexts:
        yield Issue("error", "structure", place, sentences.NOT_HERE, table.url)
    if table.value is not None:
        yield from _part(place, item, table.value, table.url)
        return
    parts = [part for part in item.get("extension", []) if isinstance(part, dict)]
    for name, rules in table.parts.items():
        members = [part for part in parts if part.get("url") == name]
        if len(members) < rules.low:
            yield Issue("error", "required", f"{place}.{name}", sentences.NO_PART, table.url)
        if rules.high is not None and len(members) > rules.high:
            yield Issue("error", "structure", f"{place}.{name}", sentences.PART_ONCE, table.url)
        for part in members:
            yield from _part(f"{place}.{name}", part, rules, table.url)


_VALUE_NAMES = {"string": "valueString", "boolean": "valueBoolean", "id": "valueId"}


def _part(place: str, item: Resource, rules: PartRules, url: str) -> Iterator[Issue]:
    name = _VALUE_NAMES.get(rules.type, f"value{rules.type}")
    value = item.get(name)
    if value is None:
        yield Issue("error", "structure", place, sentences.OTHER_VALUE % {"name": rules.type}, url)
        return
    if rules.type == "Quantity" and isinstance(value, dict):
        if not isinstance(value.get("value"), int | float) or "comparator" in value:
            yield Issue("error", "value", place, sentences.COMPARED, url)
        for key, fixed in (("unit", rules.unit), ("system", UCUM), ("code", rules.code)):
            if value.get(key) != fixed:
                text = sentences.OTHER_UNIT % {"name": key, "fixed": fixed}
                issue_code = "required" if key not in value else "value"
                yield Issue("error", issue_code, f"{place}.{key}", text, url)
    if rules.codes:
        yield from _bound(value, rules.codes, place, url)
    if rules.type == "id" and not (isinstance(value, str) and ID_PATTERN.fullmatch(value)):
        yield Issue("error", "value", place, sentences.NOT_BARE, url)
