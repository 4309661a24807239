"""Read a FHIR R4 Questionnaire into what we can ask; what the subset lacks is refused, never ignored silently."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from racoon.domain.questionnaire.checks import Check, rule_of
from racoon.domain.questionnaire.prefill import Prefill, contexts_of, prefill_of
from racoon.domain.questionnaire.words import Coding, Value, Words, is_date
from racoon.errors import Defect

HL7 = "http://hl7.org/fhir/StructureDefinition/"
SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/"
OURS = "urn:racoon:fhir:"

NORMAL = OURS + "questionnaire-normal-answer"
"""The answer of a normal case; one key gives all of them at once."""

FROM_FINDING = OURS + "questionnaire-from-finding"
"""Name of a number of a finding that may become the answer, e.g. ``long_axis``; the first one that fits is taken."""

TRANSLATION = HL7 + "translation"
CALCULATED = SDC + "sdc-questionnaire-calculatedExpression"

INITIAL_EXPRESSION = SDC + "sdc-questionnaire-initialExpression"
"""A first answer from what is known; the subset is in :mod:`racoon.domain.questionnaire.prefill`."""

LAUNCH_CONTEXT = SDC + "sdc-questionnaire-launchContext"

CONSTRAINT = HL7 + "questionnaire-constraint"
"""An edit check; what of FHIRPath it may hold says :mod:`racoon.domain.questionnaire.checks`."""

KINDS = frozenset({"group", "display", "boolean", "integer", "decimal", "date", "string", "text", "choice"})
VALUE_NAMES: Mapping[str, str] = {
    "boolean": "valueBoolean",
    "integer": "valueInteger",
    "decimal": "valueDecimal",
    "date": "valueDate",
    "string": "valueString",
    "text": "valueString",
    "choice": "valueCoding",
}
OPERATORS = frozenset({"exists", "=", "!=", ">", "<", ">=", "<="})

_KNOWN_KEYS = frozenset(
    {
        "linkId", "text", "_text", "type", "code", "required", "repeats", "readOnly", "initial", "answerOption",
        "enableWhen", "enableBehavior", "extension", "item", "maxLength", "prefix", "definition", "id",
    }
)  # fmt: skip
_KNOWN_EXTENSIONS = frozenset(
    {
        NORMAL,
        FROM_FINDING,
        CALCULATED,
        INITIAL_EXPRESSION,
        CONSTRAINT,
        HL7 + "minValue",
        HL7 + "maxValue",
        HL7 + "questionnaire-unit",
        HL7 + "questionnaire-itemControl",
        HL7 + "questionnaire-choiceOrientation",
    }
)
"""The last two only concern looks; the form has its own."""


def is_known_key(name: str) -> bool:
    """Tell whether an item of the subset may hold something of this name."""
    return name in _KNOWN_KEYS


def is_known_extension(url: str) -> bool:
    """Tell whether an item of the subset may hold this extension."""
    return url in _KNOWN_EXTENSIONS


_SUM = re.compile(
    r"%resource\.descendants\(\)\.where\(linkId in \(('[^'()]+'(?: ?\| ?'[^'()]+')*)\)\)\.answer\.value\.sum\(\)"
)


class BadTemplate(Defect):
    """A Questionnaire that the subset cannot show faithfully."""

    code = "reading.bad_template"


@dataclass(frozen=True)
class Option:
    """One answer to choose."""

    coding: Coding
    words: Words


@dataclass(frozen=True)
class Condition:
    """``enableWhen``: a question, an operator and a value; for ``exists`` the value is a truth value."""

    question: str
    operator: str
    value: Value


@dataclass(frozen=True)
class Item:
    """One question, group or text of a template.

    Parameters
    ----------
    normal
        Answer of a normal case, or None.
    prefill
        What the first answer is taken from, or None.
    sum_of
        For a calculated item: link ids whose answers are added.
    from_finding
        Names of the numbers of a finding that may become the answer, the best first.
    checks
        Edit checks that are said at this item.
    """

    link_id: str
    kind: str
    words: Words
    codes: tuple[Coding, ...] = ()
    is_required: bool = False
    repeats: bool = False
    is_read_only: bool = False
    initial: tuple[Value, ...] = ()
    options: tuple[Option, ...] = ()
    conditions: tuple[Condition, ...] = ()
    needs_all: bool = False
    minimum: float | None = None
    maximum: float | None = None
    longest: int | None = None
    unit: Coding | None = None
    normal: Value | None = None
    prefill: Prefill | None = None
    sum_of: tuple[str, ...] = ()
    from_finding: tuple[str, ...] = ()
    checks: tuple[Check, ...] = ()
    items: tuple[Item, ...] = ()

    @property
    def is_question(self) -> bool:
        """Whether it has answers."""
        return self.kind not in ("group", "display")


@dataclass(frozen=True)
class Template:
    """A template; ``canonical`` (address and version) names it for good; ``credit`` says whose blocks it follows."""

    url: str
    version: str
    words: Words
    status: str
    items: tuple[Item, ...]
    credit: str = ""

    @property
    def canonical(self) -> str:
        """Address and version, as ``QuestionnaireResponse.questionnaire`` has them."""
        return f"{self.url}|{self.version}"

    def walk(self) -> Iterator[Item]:
        """Yield every item, parents before children."""
        yield from _walk(self.items)


def _walk(items: Sequence[Item]) -> Iterator[Item]:
    for item in items:
        yield item
        yield from _walk(item.items)


def template_of(document: Mapping[str, Any]) -> Template:
    """Read a Questionnaire.

    Raises
    ------
    BadTemplate
        If it uses something outside the subset, or refers to questions that do not exist; the message says what.
    """
    if document.get("resourceType") != "Questionnaire":
        raise BadTemplate("A template is a FHIR Questionnaire.")
    if not document.get("url") or not document.get("version"):
        raise BadTemplate(
            "A template needs an address and a version, so that answers stay readable for good."
        )
    template = Template(
        str(document["url"]),
        str(document["version"]),
        _words(document, "title"),
        str(document.get("status", "draft")),
        tuple(_item(item) for item in document.get("item", ())),
        str(document.get("copyright", "")),
    )
    _require_contexts(document, template)
    found = [item.link_id for item in template.walk()]
    if len(found) != len(set(found)):
        raise BadTemplate("Two items of the template have the same linkId.")
    wanted = {name for item in template.walk() for name in _names_in(item)}
    if wanted - set(found):
        raise BadTemplate(
            f"The template refers to questions it does not have: {sorted(wanted - set(found))}."
        )
    return template


def _names_in(item: Item) -> Iterator[str]:
    yield from (condition.question for condition in item.conditions)
    yield from item.sum_of
    for check in item.checks:
        yield from check.questions


def _item(document: Mapping[str, Any]) -> Item:
    link_id, kind = document.get("linkId"), document.get("type")
    if not isinstance(link_id, str) or not link_id or "/" in link_id or "[" in link_id:
        raise BadTemplate("Every item of a template needs a linkId, a text without slashes and brackets.")
    if kind not in KINDS:
        raise BadTemplate(f"Item {link_id}: the type {kind} is not supported.")
    if unknown := set(document) - _KNOWN_KEYS:
        raise BadTemplate(f"Item {link_id}: {', '.join(sorted(unknown))} is not supported.")
    extensions = list(document.get("extension", ()))
    if unknown := {str(item.get("url")) for item in extensions} - _KNOWN_EXTENSIONS:
        raise BadTemplate(f"Item {link_id}: the extension {', '.join(sorted(unknown))} is not supported.")
    single = {item["url"]: item for item in extensions}
    options = tuple(_option(link_id, item) for item in document.get("answerOption", ()))
    if kind == "choice" and not options:
        raise BadTemplate(f"Item {link_id}: a choice needs its answers in the template.")
    if kind not in ("group", "choice") and document.get("repeats"):
        raise BadTemplate(f"Item {link_id}: only groups and choices may repeat.")
    checks = tuple(_check(link_id, item) for item in extensions if item["url"] == CONSTRAINT)
    unit = single.get(HL7 + "questionnaire-unit")
    normal = single.get(NORMAL)
    return Item(
        link_id=link_id,
        kind=str(kind),
        words=_words(document, "text"),
        codes=tuple(_coding(item) for item in document.get("code", ())),
        is_required=bool(document.get("required")),
        repeats=bool(document.get("repeats")),
        is_read_only=bool(document.get("readOnly")) or CALCULATED in single,
        initial=tuple(_value(link_id, str(kind), item) for item in document.get("initial", ())),
        options=options,
        conditions=tuple(_condition(link_id, item) for item in document.get("enableWhen", ())),
        needs_all=document.get("enableBehavior") == "all",
        minimum=_limit(single.get(HL7 + "minValue")),
        maximum=_limit(single.get(HL7 + "maxValue")),
        longest=document.get("maxLength"),
        unit=_coding(unit["valueCoding"]) if unit else None,
        normal=_value(link_id, str(kind), normal) if normal else None,
        prefill=_prefill(link_id, str(kind), document, single.get(INITIAL_EXPRESSION)),
        sum_of=_sum_of(link_id, single.get(CALCULATED)),
        from_finding=tuple(
            str(item.get("valueCode", "")) for item in extensions if item["url"] == FROM_FINDING
        ),
        checks=checks,
        items=tuple(_item(item) for item in document.get("item", ())),
    )


def _check(link_id: str, document: Mapping[str, Any]) -> Check:
    parts = {str(part.get("url")): part for part in document.get("extension", ())}
    human = parts.get("human", {})
    try:
        return Check(
            key=str(parts["key"]["valueId"]),
            words=_words(human, "valueString"),
            is_error=parts["severity"]["valueCode"] == "error",
            rule=rule_of(str(parts["expression"]["valueString"])),
        )
    except (KeyError, ValueError) as error:
        raise BadTemplate(
            f"Item {link_id}: an edit check needs a key, a severity, words and a comparison of answers."
        ) from error


def title_of(document: Mapping[str, Any]) -> Words:
    """Return the title of a Questionnaire with its translations; its address where it has none."""
    found = _words(document, "title")
    return found if found.text else Words(str(document.get("url", "")))


def _words(document: Mapping[str, Any], name: str) -> Words:
    found = []
    for extension in (document.get(f"_{name}") or {}).get("extension", ()):
        if extension.get("url") == TRANSLATION:
            parts = {part.get("url"): part for part in extension.get("extension", ())}
            if "lang" in parts and "content" in parts:
                content = parts["content"]
                text = content.get("valueString", content.get("valueMarkdown", ""))
                found.append((str(parts["lang"].get("valueCode", "")), str(text)))
    return Words(str(document.get(name, "")), tuple(found))


def _coding(document: Mapping[str, Any]) -> Coding:
    return Coding(
        str(document.get("system", "")), str(document.get("code", "")), str(document.get("display", ""))
    )


def _option(link_id: str, document: Mapping[str, Any]) -> Option:
    if "valueCoding" not in document:
        raise BadTemplate(f"Item {link_id}: answers to choose are codings.")
    coding = document["valueCoding"]
    return Option(_coding(coding), _words(coding, "display"))


def _condition(link_id: str, document: Mapping[str, Any]) -> Condition:
    operator = str(document.get("operator", ""))
    names = [name for name in document if name.startswith("answer")]
    if operator not in OPERATORS or len(names) != 1 or not document.get("question"):
        raise BadTemplate(f"Item {link_id}: enableWhen needs a question, an operator and one answer.")
    value = document[names[0]]
    if names[0] == "answerCoding":
        value = _coding(value)
    if not isinstance(value, bool | int | float | str | Coding):
        raise BadTemplate(f"Item {link_id}: enableWhen with {names[0]} is not supported.")
    return Condition(str(document["question"]), operator, value)


def _value(link_id: str, kind: str, document: Mapping[str, Any]) -> Value:
    name = VALUE_NAMES.get(kind, "")
    if name not in document:
        raise BadTemplate(f"Item {link_id}: a value of type {kind} is written as {name or 'nothing'}.")
    value = document[name]
    if name == "valueDate" and not is_date(value):
        raise BadTemplate(f"Item {link_id}: a date is written as 2026-12-31.")
    return _coding(value) if name == "valueCoding" else value


def _prefill(
    link_id: str, kind: str, item: Mapping[str, Any], document: Mapping[str, Any] | None
) -> Prefill | None:
    if document is None:
        return None
    if item.get("initial") or kind in ("group", "display"):
        raise BadTemplate(f"Item {link_id}: only a question without a first answer has an initialExpression.")
    try:
        return prefill_of(document.get("valueExpression") or {})
    except ValueError as error:
        raise BadTemplate(f"Item {link_id}: this initialExpression is not supported: {error}.") from error


def _require_contexts(document: Mapping[str, Any], template: Template) -> None:
    try:
        named = contexts_of(document, LAUNCH_CONTEXT)
    except ValueError as error:
        raise BadTemplate(
            f"The launch context {error} is not known here; there are patient (Patient), imagingStudy (ImagingStudy) "
            "and previous (QuestionnaireResponse)."
        ) from error
    for item in template.walk():
        if item.prefill is not None and item.prefill.context not in named:
            raise BadTemplate(
                f"Item {item.link_id}: its initialExpression uses %{item.prefill.context}, which the template does "
                "not name as launchContext."
            )


def _limit(document: Mapping[str, Any] | None) -> float | None:
    if document is None:
        return None
    return float(document.get("valueInteger", document.get("valueDecimal", 0)))


def _sum_of(link_id: str, document: Mapping[str, Any] | None) -> tuple[str, ...]:
    if document is None:
        return ()
    expression = str((document.get("valueExpression") or {}).get("expression", ""))
    found = _SUM.fullmatch(expression.strip())
    if found is None:
        raise BadTemplate(
            f"Item {link_id}: a calculated item is a sum over linkIds, "
            "%resource.descendants().where(linkId in ('a'|'b')).answer.value.sum()."
        )
    return tuple(re.findall(r"'([^']+)'", found.group(1)))
