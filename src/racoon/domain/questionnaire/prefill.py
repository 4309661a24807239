"""First answers from what is known before anybody reads: SDC's ``initialExpression``, in a written subset.

``%patient.gender``; ``%imagingStudy.started``, ``%imagingStudy.modality.code`` and ``%imagingStudy.description``;
``%previous.descendants().where(linkId='a').answer.value``, the reader's own answer on an earlier examination of the
same subject.  The template names what it uses as ``launchContext``: ``patient`` (Patient), ``imagingStudy``
(ImagingStudy), ``previous`` (QuestionnaireResponse).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.domain.questionnaire.words import Coding, Value, is_date

CONTEXTS: Mapping[str, str] = {
    "patient": "Patient",
    "imagingStudy": "ImagingStudy",
    "previous": "QuestionnaireResponse",
}
"""Names a template may use, with their FHIR types."""

FACTS = frozenset(
    {
        "patient.gender",
        "imagingStudy.started",
        "imagingStudy.modality.code",
        "imagingStudy.description",
    }
)

_PREVIOUS = re.compile(r"%previous\.descendants\(\)\.where\(linkId ?= ?'([^']+)'\)\.answer\.value")


@dataclass(frozen=True)
class Prefill:
    """What a first answer is taken from.

    Parameters
    ----------
    context
        A key of :data:`CONTEXTS`.
    name
        A fact, e.g. ``"patient.gender"``, or the link id of the earlier answer.
    """

    context: str
    name: str


@dataclass(frozen=True)
class Known:
    """What is known when a report is begun: facts by name, earlier answers by link id."""

    facts: Mapping[str, Sequence[Value]]
    previous: Mapping[str, Sequence[Value]]

    def of(self, prefill: Prefill) -> Sequence[Value]:
        """Return the values that a first answer is taken from."""
        found = self.previous if prefill.context == "previous" else self.facts
        return found.get(prefill.name, ())


NOTHING_KNOWN = Known({}, {})


def prefill_of(value: Mapping[str, Any]) -> Prefill:
    """Read the ``valueExpression`` of an ``initialExpression``.

    Raises
    ------
    ValueError
        With the reason, when it is none of the subset.
    """
    language = str(value.get("language", ""))
    expression = str(value.get("expression", "")).strip()
    if language == "application/x-fhir-query":
        raise ValueError("a form asks no other server; only FHIRPath over launch contexts is carried")
    if language != "text/fhirpath":
        raise ValueError("only the language text/fhirpath is carried")
    if found := _PREVIOUS.fullmatch(expression):
        return Prefill("previous", found.group(1))
    if expression.startswith("%") and expression[1:] in FACTS:
        return Prefill(expression[1:].partition(".")[0], expression[1:])
    if re.search(r"\b(?:today|now|timeOfDay)\(\)", expression):
        raise ValueError("the day of the reading is no day of the subject's shifted calendar")
    if expression.startswith("%patient"):
        raise ValueError("of the person only the sex is known here")
    if expression.startswith(("%user", "%encounter", "%location")):
        raise ValueError("who reads, where and in which visit is not given to forms")
    raise ValueError("it is outside the subset: " + ", ".join(f"%{name}" for name in sorted(FACTS)))


def contexts_of(document: Mapping[str, Any], url: str) -> frozenset[str]:
    """Return the launch contexts that a Questionnaire names.

    Raises
    ------
    ValueError
        If it names one that is not known here, or with another type.
    """
    names = set()
    for extension in document.get("extension", ()):
        if extension.get("url") != url:
            continue
        parts = {str(part.get("url")): part for part in extension.get("extension", ())}
        name = str((parts.get("name", {}).get("valueCoding") or {}).get("code", ""))
        if CONTEXTS.get(name) != parts.get("type", {}).get("valueCode"):
            raise ValueError(name)
        names.add(name)
    return frozenset(names)


def fitting(kind: str, options: Sequence[Coding], values: Sequence[Value]) -> tuple[Value, ...]:
    """Return the values that can answer a question of a kind; a text becomes the option of that code."""
    found: list[Value] = []
    for value in values:
        if kind == "choice":
            found += [
                option
                for option in options
                if (option.key == value.key if isinstance(value, Coding) else option.code == value)
            ]
        elif (
            (kind == "boolean" and isinstance(value, bool))
            or (kind == "integer" and isinstance(value, int) and not isinstance(value, bool))
            or (kind == "decimal" and isinstance(value, int | float) and not isinstance(value, bool))
            or (kind == "date" and is_date(value))
            or (kind in ("string", "text") and isinstance(value, str))
        ):
            found.append(value)
    return tuple(found)
