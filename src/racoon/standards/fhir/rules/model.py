"""Words of the rule tables: a rule, a profile, an extension, and what a check finds.

A path is written as in FHIR's own element ids without the resource's name: ``series.modality``,
``code.coding:sct`` for a slice, ``value[x]`` for a choice of types.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from racoon.standards.fhir.building import Resource

Severity = Literal["error", "warning", "information"]


@dataclass(frozen=True)
class Issue:
    """One thing that is not as a rule demands; it never quotes a value.

    Parameters
    ----------
    severity
        ``error`` breaks the profile, ``warning`` is unusual, ``information`` is said for completeness.
    code
        Code of OperationOutcome.issue.code, e.g. ``required`` or ``code-invalid``.
    path
        Where, e.g. ``ImagingStudy.series[0].bodySite``.
    message
        One sentence.
    rule
        Address of the profile, or ``R4``.
    key
        Of an invariant its name, e.g. ``mii-pat-1``.
    """

    severity: Severity
    code: str
    path: str
    message: str
    rule: str = "R4"
    key: str = ""

    def to_dict(self) -> dict[str, str]:
        """Return the JSON form."""
        return {
            "severity": self.severity,
            "code": self.code,
            "path": self.path,
            "message": self.message,
            "rule": self.rule,
            **({"key": self.key} if self.key else {}),
        }


@dataclass(frozen=True)
class ValueSet:
    """A set of codes, listed or described by their shape.

    Parameters
    ----------
    system
        Code system every member has; empty for plain ``code`` elements.
    members
        The codes; empty when ``pattern`` describes them.
    pattern
        Shape of a code where the members are not ours to ship (SNOMED CT, LOINC, ICD-10-GM).
    """

    system: str = ""
    members: frozenset[str] = frozenset()
    pattern: str = ""

    def holds(self, code: str) -> bool:
        """Tell whether a code can be a member."""
        return code in self.members if self.members else re.fullmatch(self.pattern, code) is not None


@dataclass(frozen=True)
class Rule:
    """What a profile demands of one element, counted in each parent that is there.

    Parameters
    ----------
    path
        Element.
    low, high
        Cardinality; ``high`` None for any number.
    pattern
        What each occurrence must contain.
    codes
        Key of a value set that binds it with strength ``required``.
    targets
        Resource types that a reference may name.
    """

    path: str
    low: int = 0
    high: int | None = None
    pattern: Any = None
    codes: str = ""
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Invariant:
    """A rule over several elements: FHIR's constraint, as a function."""

    key: str
    message: str
    holds: Callable[[Resource], bool]
    severity: Severity = "error"


@dataclass(frozen=True)
class ProfileRules:
    """The table of one profile.

    Parameters
    ----------
    url
        Canonical address.
    resource_type
        What it describes.
    rules
        Its rows.
    slices
        ``path:name`` to what makes an occurrence a member of the slice.
    invariants
        Its constraints.
    """

    url: str
    resource_type: str
    rules: tuple[Rule, ...]
    slices: Mapping[str, Any] = field(default_factory=dict)
    invariants: tuple[Invariant, ...] = ()


@dataclass(frozen=True)
class PartRules:
    """One part of an extension, or the value of a simple one.

    Parameters
    ----------
    type
        ``Quantity``, ``string``, ``boolean``, ``CodeableConcept``, ``Reference`` or ``id``.
    unit, code
        Fixed words and UCUM code of a Quantity.
    codes
        Key of a required value set.
    low, high
        Cardinality.
    """

    type: str
    unit: str = ""
    code: str = ""
    codes: str = ""
    low: int = 0
    high: int | None = 1


@dataclass(frozen=True)
class ExtensionRules:
    """The table of one extension.

    Parameters
    ----------
    url
        Canonical address.
    contexts
        Where it may stand, without indices.
    value
        What it holds, for a simple extension.
    parts
        Its parts by url, for a complex one.
    """

    url: str
    contexts: tuple[str, ...]
    value: PartRules | None = None
    parts: Mapping[str, PartRules] = field(default_factory=dict)


def contains(found: Any, pattern: Any) -> bool:
    """Tell whether a value contains a pattern (R4, ElementDefinition.pattern[x])."""
    if isinstance(pattern, dict):
        return isinstance(found, dict) and all(
            contains(found.get(name), value) for name, value in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(found, list) and all(
            any(contains(item, value) for item in found) for value in pattern
        )
    return bool(found == pattern)
