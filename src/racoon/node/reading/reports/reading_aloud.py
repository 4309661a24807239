"""A report as lines that people read: questions, answers in words and units, in one language.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from racoon.domain.questionnaire import Answer, Answered, Coding, Item, Template, items_of

YES = {"en": "yes", "de": "ja"}
NO = {"en": "no", "de": "nein"}


@dataclass(frozen=True)
class ReportLine:
    """One line.

    Parameters
    ----------
    path
        Of the question in the form, e.g. ``"lungs/nodules[0]/nodule-size"``.
    depth
        0 for the outermost groups.
    text
        Answers in words; empty for the heading of a group.
    finding_id
        The finding a number came from, or empty.
    level
        ``automatic`` or ``assisted``, empty for manual.
    codes
        What words of a text mean, each as ``words = meaning code``.
    """

    path: str
    depth: int
    question: str
    text: str = ""
    finding_id: str = ""
    level: str = ""
    codes: tuple[str, ...] = ()


def lines_of(template: Template, items: object, language: str) -> list[ReportLine]:
    """Return the answered questions in the order of the template.

    Parameters
    ----------
    items
        Items of a QuestionnaireResponse of this template.
    """
    return list(_lines(template.items, items_of(template, items), language, "", 0))


def _lines(
    asked: Sequence[Item], answered: Sequence[Answered], language: str, above: str, depth: int
) -> Iterator[ReportLine]:
    for item in asked:
        nodes = [node for node in answered if node.link_id == item.link_id]
        for number, node in enumerate(nodes):
            path = f"{above}{item.link_id}" + (f"[{number}]" if item.repeats and not item.is_question else "")
            question = item.words.in_language(language)
            if item.is_question:
                if node.answers:
                    text = ", ".join(say_answer(item, answer, language) for answer in node.answers)
                    source = next((answer.finding_id for answer in node.answers if answer.finding_id), "")
                    level = node.answers[0].level
                    codes = tuple(
                        f"{found.words} = {found.coding.display} {found.coding.code}"
                        for answer in node.answers
                        for found in answer.codes
                    )
                    yield ReportLine(path, depth, question, text, source, level, codes)
                continue
            inside = list(_lines(item.items, node.items, language, f"{path}/", depth + 1))
            if inside:
                yield ReportLine(path, depth, f"{question} {number + 1}" if item.repeats else question)
                yield from inside


def say_answer(item: Item, answer: Answer, language: str) -> str:
    """Say an answer in words and units."""
    value = answer.value
    if isinstance(value, bool):
        return (YES if value else NO).get(language, str(value))
    if isinstance(value, Coding):
        option = next((found for found in item.options if found.coding.key == value.key), None)
        return option.words.in_language(language) if option else value.display or value.code
    if isinstance(value, str):
        if item.kind == "date" and language == "de":
            return ".".join(reversed(value.split("-")))
        return value
    text = f"{round(value, 1):g}" if isinstance(value, float) else str(value)
    unit = item.unit.display or item.unit.code if item.unit else ""
    return f"{text.replace('.', ',') if language == 'de' else text} {unit}".strip()
