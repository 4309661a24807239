"""Answers: the items of a FHIR QuestionnaireResponse, read and written."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from racoon.domain.questionnaire.coded_words import LONGEST_WORDS, MOST_CODES, CodedWords
from racoon.domain.questionnaire.template import OURS, VALUE_NAMES, Item, Template
from racoon.domain.questionnaire.words import Coding, Value, is_date
from racoon.errors import Defect

SOURCE = OURS + "answer-from-finding"
"""On an answer: the finding whose number it is."""

AUTOMATION = OURS + "answer-automation"
"""On an answer: ``automatic`` for an accepted proposal, ``assisted`` where one was there; nothing for manual."""

CODED_WORDS = OURS + "answer-coded-words"
"""On a text: words of it as ``CodeableConcept.text`` with what they mean as its coding."""

DEEPEST = 10


class BadAnswers(Defect):
    """Answers that are no QuestionnaireResponse of the template: an unknown question or another type."""

    code = "reading.bad_answers"


@dataclass(frozen=True)
class Answer:
    """One answer.

    Parameters
    ----------
    finding_id
        The finding it was taken from, or empty.
    level
        How automatic it is; empty for manual.
    codes
        Of a text: what some of its words mean.
    """

    value: Value
    finding_id: str = ""
    level: str = ""
    codes: tuple[CodedWords, ...] = ()


@dataclass(frozen=True)
class Answered:
    """One item of a response: a question with its answers, or one instance of a group with its items."""

    link_id: str
    answers: tuple[Answer, ...] = ()
    items: tuple[Answered, ...] = ()


def items_of(template: Template, document: object) -> tuple[Answered, ...]:
    """Read the items of a QuestionnaireResponse.

    Raises
    ------
    BadAnswers
        If a question is unknown or an answer has another type than its question.
    """
    return _items(template.items, document, 0)


def _items(asked: Sequence[Item], document: object, depth: int) -> tuple[Answered, ...]:
    if depth > DEEPEST or not isinstance(document, Sequence) or isinstance(document, str):
        raise BadAnswers("Answers are a list of items, as in a QuestionnaireResponse.")
    known = {item.link_id: item for item in asked}
    found = []
    for entry in document:
        item = known.get(str(entry.get("linkId"))) if isinstance(entry, Mapping) else None
        if item is None:
            raise BadAnswers("The answers name a question that the template does not have at this place.")
        answers = tuple(answer_of_fhir(item, answer) for answer in entry.get("answer") or ())
        if answers and not item.is_question:
            raise BadAnswers("A group of questions has no answer of its own.")
        found.append(Answered(item.link_id, answers, _items(item.items, entry.get("item") or (), depth + 1)))
    return tuple(found)


def answer_of_fhir(item: Item, document: object) -> Answer:
    """Read one answer to a question."""
    name = VALUE_NAMES.get(item.kind, "")
    value = document.get(name) if isinstance(document, Mapping) else None
    is_right = {
        "boolean": isinstance(value, bool),
        "integer": isinstance(value, int) and not isinstance(value, bool),
        "decimal": isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value),
        "date": is_date(value),
        "string": isinstance(value, str),
        "text": isinstance(value, str),
        "choice": isinstance(value, Mapping),
    }.get(item.kind, False)
    if not is_right or not isinstance(document, Mapping):
        raise BadAnswers("An answer has another type than its question.", details={"link_id": item.link_id})
    extensions = {
        str(extension.get("url")): extension
        for extension in document.get("extension") or ()
        if isinstance(extension, Mapping)
    }
    source = str(extensions.get(SOURCE, {}).get("valueString", ""))
    level = str(extensions.get(AUTOMATION, {}).get("valueCode", ""))
    if item.kind == "choice" and isinstance(value, Mapping):
        given = Coding(str(value.get("system", "")), str(value.get("code", "")))
        # The words of a coded answer are the template's, whatever a client sends.
        known = {option.coding.key: option.coding for option in item.options}
        return Answer(known.get(given.key, given), source, level)
    codes = _codes_of(document.get("extension") or ()) if isinstance(value, str) else ()
    return Answer(value, source, level, codes)  # type: ignore[arg-type]  # of the item's own type, checked above


def _codes_of(extensions: Sequence[Any]) -> tuple[CodedWords, ...]:
    found = []
    for extension in extensions:
        if not isinstance(extension, Mapping) or extension.get("url") != CODED_WORDS:
            continue
        concept = extension.get("valueCodeableConcept")
        codings = concept.get("coding") if isinstance(concept, Mapping) else None
        words = str(concept.get("text", "")).strip() if isinstance(concept, Mapping) else ""
        if not words or len(words) > LONGEST_WORDS or not isinstance(codings, Sequence) or len(codings) != 1:
            raise BadAnswers("A code of words needs the words and one coding.")
        coding = codings[0] if isinstance(codings[0], Mapping) else {}
        given = Coding(*(str(coding.get(name, "")) for name in ("system", "code", "display")))
        found.append(CodedWords(words, given))
    if len(found) > MOST_CODES:
        raise BadAnswers("A text has more codes than anybody reads.")
    return tuple(found)


def answers_by_path(template: Template, items: Sequence[Answered]) -> dict[str, tuple[Answer, ...]]:
    """Return the answers of every answered question by its path, e.g. ``"lungs/nodules[0]/nodule-size"``."""
    asked = {item.link_id: item for item in template.walk()}
    return dict(_by_path(asked, items, ""))


def _by_path(
    asked: Mapping[str, Item], items: Sequence[Answered], above: str
) -> Iterator[tuple[str, tuple[Answer, ...]]]:
    counts: dict[str, int] = {}
    for node in items:
        item = asked[node.link_id]
        number = counts.get(node.link_id, 0)
        counts[node.link_id] = number + 1
        path = f"{above}{node.link_id}" + (f"[{number}]" if item.repeats and not item.is_question else "")
        if node.answers:
            yield path, node.answers
        yield from _by_path(asked, node.items, f"{path}/")


def agreed_items(first: Sequence[Answered], second: Sequence[Answered]) -> tuple[Answered, ...]:
    """Return what two readings answer alike; instances of a repeated group are compared in their order."""
    left = list(second)
    found = []
    for node in first:
        other = next((item for item in left if item.link_id == node.link_id), None)
        if other is None:
            continue
        left.remove(other)
        answers = node.answers if same_answers(node.answers, other.answers) else ()
        inside = agreed_items(node.items, other.items)
        if answers or inside:
            found.append(Answered(node.link_id, answers, inside))
    return tuple(found)


def same_answers(first: Sequence[Answer], second: Sequence[Answer]) -> bool:
    """Tell whether two readers say the same, wherever they took it from and in whatever order."""

    def said(answers: Sequence[Answer]) -> list[str]:
        return sorted(
            repr(answer.value.key if isinstance(answer.value, Coding) else answer.value) for answer in answers
        )

    return said(first) == said(second)


def items_to_fhir(template: Template, items: Sequence[Answered]) -> list[dict[str, Any]]:
    """Write the items of a QuestionnaireResponse."""
    kinds = {item.link_id: item for item in template.walk()}
    return [_to_fhir(kinds, item) for item in items]


def _to_fhir(kinds: Mapping[str, Item], item: Answered) -> dict[str, Any]:
    document: dict[str, Any] = {"linkId": item.link_id, "text": kinds[item.link_id].words.text}
    if item.answers:
        document["answer"] = [answer_to_fhir(kinds[item.link_id].kind, answer) for answer in item.answers]
    if item.items:
        document["item"] = [_to_fhir(kinds, child) for child in item.items]
    return document


def answer_to_fhir(kind: str, answer: Answer) -> dict[str, Any]:
    """Write one answer to a question of a kind."""
    value: Any = answer.value
    if isinstance(value, Coding):
        value = {"system": value.system, "code": value.code, "display": value.display}
    document: dict[str, Any] = {VALUE_NAMES[kind]: value}
    extensions: list[dict[str, Any]] = []
    if answer.finding_id:
        extensions.append({"url": SOURCE, "valueString": answer.finding_id})
    if answer.level:
        extensions.append({"url": AUTOMATION, "valueCode": answer.level})
    for item in answer.codes:
        coding = {"system": item.coding.system, "code": item.coding.code, "display": item.coding.display}
        concept = {"coding": [coding], "text": item.words}
        extensions.append({"url": CODED_WORDS, "valueCodeableConcept": concept})
    return document | ({"extension": extensions} if extensions else {})


def with_levels(
    template: Template, items: Sequence[Answered], levels: Mapping[str, str]
) -> tuple[Answered, ...]:
    """Write how automatic each answer is, by path; what is not named becomes manual."""
    asked = {item.link_id: item for item in template.walk()}
    return _with_levels(asked, items, levels, "")


def _with_levels(
    asked: Mapping[str, Item], items: Sequence[Answered], levels: Mapping[str, str], above: str
) -> tuple[Answered, ...]:
    counts: dict[str, int] = {}
    found = []
    for node in items:
        item, number = asked[node.link_id], counts.get(node.link_id, 0)
        counts[node.link_id] = number + 1
        path = f"{above}{node.link_id}" + (f"[{number}]" if item.repeats and not item.is_question else "")
        answers = tuple(replace(answer, level=levels.get(path, "")) for answer in node.answers)
        found.append(
            replace(node, answers=answers, items=_with_levels(asked, node.items, levels, f"{path}/"))
        )
    return tuple(found)
