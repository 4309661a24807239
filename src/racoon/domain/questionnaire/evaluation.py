"""What of a template is asked, what is computed and what is wrong, given some answers.

The only implementation: the form in the browser shows what this says and decides nothing itself.
A place in a form is a path: link ids from the outermost group inwards, ``findings/nodules[1]/size``, with the
number of the instance, from 0, for groups that repeat.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from racoon.domain.questionnaire.answers import Answer, Answered
from racoon.domain.questionnaire.prefill import NOTHING_KNOWN, Known, fitting
from racoon.domain.questionnaire.template import Condition, Item, Template
from racoon.domain.questionnaire.words import Coding, Value, Words

MESSAGES: Mapping[str, str] = {
    "required": "This question needs an answer.",
    "minimum": "The smallest possible answer is %(limit)s.",
    "maximum": "The largest possible answer is %(limit)s.",
    "one_answer": "Only one answer is possible here.",
    "one_instance": "This group can be answered only once.",
    "not_an_option": "Choose one of the answers in the list.",
    "check": "The answers contradict each other.",
    "too_long": "The text may have at most %(limit)s characters.",
}

_COMPARE: Mapping[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
}


Scope = tuple[frozenset[str], Sequence[Answered]]
"""Names of the questions of one instance of a group, and its answers."""


@dataclass(frozen=True)
class Problem:
    """What is wrong at a place.

    Parameters
    ----------
    code
        A key of :data:`MESSAGES`; ``limit`` fills its gap.
    check
        For ``check``: the key of the edit check in the template, whose words are ``words``.
    """

    path: str
    code: str
    limit: str = ""
    check: str = ""
    words: Words | None = None


@dataclass(frozen=True)
class Evaluation:
    """What some answers mean.

    Parameters
    ----------
    items
        The answers that count: of questions that are asked, with computed ones filled in.
    hidden
        Paths that are not asked.
    problems
        What stands in the way of signing, in the order of the form.
    doubts
        Broken edit checks that a reader may answer instead of changing something.
    """

    items: tuple[Answered, ...]
    hidden: frozenset[str]
    problems: tuple[Problem, ...]
    doubts: tuple[Problem, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether the report can be signed."""
        return not self.problems


def evaluate(template: Template, items: Sequence[Answered]) -> Evaluation:
    """Say what of a template is asked, computed and wrong.

    Notes
    -----
    An item is asked when its ``enableWhen`` holds; the answer of a question that is not asked does not count, for
    other conditions neither (FHIR R4 Questionnaire.item.enableWhen).  Conditions look at the nearest question of
    that name: in the same instance of a group first, then outwards.  They are settled by repetition, at most once
    per item of the template.
    """
    kept = tuple(items)
    hidden: set[str] = set()
    for _ in range(sum(1 for _ in template.walk()) + 1):
        computed = _with_sums(template.items, kept, kept)
        hidden = set()
        scope = (_names(template.items), computed)
        asked = _asked(template.items, computed, (scope,), "", hidden)
        if asked == kept:
            break
        kept = asked
    broken = list(_broken(template.items, ({}, kept), "", hidden))
    problems = (
        *_problems(template.items, kept, "", hidden),
        *(found for found, is_error in broken if is_error),
    )
    return Evaluation(
        kept, frozenset(hidden), problems, tuple(found for found, is_error in broken if not is_error)
    )


def initial_items(template: Template, known: Known = NOTHING_KNOWN) -> tuple[Answered, ...]:
    """Return the answers a new report begins with: those of the template, and those that are known before."""

    def values(item: Item) -> Sequence[Value]:
        if item.prefill is None:
            return item.initial
        found = fitting(item.kind, [option.coding for option in item.options], known.of(item.prefill))
        # Several answers to a question that takes one: which of them is for a person to say.
        return found if item.repeats or len(found) == 1 else ()

    return _filled(template.items, (), values)


def normal_items(template: Template, items: Sequence[Answered]) -> tuple[Answered, ...]:
    """Give every question without an answer the answer of a normal case, where the template has one."""
    return _filled(template.items, items, lambda item: () if item.normal is None else (item.normal,))


def _filled(
    asked: Sequence[Item], items: Sequence[Answered], values: Callable[[Item], Sequence[Value]]
) -> tuple[Answered, ...]:
    found: list[Answered] = []
    for item in asked:
        nodes = [node for node in items if node.link_id == item.link_id]
        if item.kind == "group":
            if item.repeats:
                found += [replace(node, items=_filled(item.items, node.items, values)) for node in nodes]
                continue
            inside = _filled(item.items, nodes[0].items if nodes else (), values)
            found += [Answered(item.link_id, items=inside)] if inside else []
        elif nodes and nodes[0].answers:
            found += nodes
        elif answers := tuple(Answer(value) for value in values(item)):
            found.append(Answered(item.link_id, answers))
    return tuple(found)


def _with_sums(
    asked: Sequence[Item], items: Sequence[Answered], everything: Sequence[Answered]
) -> tuple[Answered, ...]:
    """Put the answer of each calculated item in the place of whatever was there."""
    found: list[Answered] = []
    for item in asked:
        nodes = [node for node in items if node.link_id == item.link_id]
        if item.sum_of:
            numbers = [
                answer.value
                for name in item.sum_of
                for answer in _answers_below(everything, name)
                if isinstance(answer.value, int | float)
            ]
            if numbers:
                found.append(Answered(item.link_id, (Answer(sum(numbers)),)))
        elif item.kind == "group" and (nodes or any(child.sum_of for child in item.items)):
            found += [
                replace(node, items=_with_sums(item.items, node.items, everything))
                for node in nodes or ([] if item.repeats else [Answered(item.link_id)])
            ]
        else:
            found += nodes
    return tuple(node for node in found if node.answers or node.items or _is_instance(asked, node))


def _is_instance(asked: Sequence[Item], node: Answered) -> bool:
    """Tell whether an empty node is an instance of a repeating group, which a reader has just added."""
    return any(item.link_id == node.link_id and item.kind == "group" and item.repeats for item in asked)


def _asked(
    asked: Sequence[Item],
    items: Sequence[Answered],
    scopes: tuple[Scope, ...],
    above: str,
    hidden: set[str],
) -> tuple[Answered, ...]:
    found: list[Answered] = []
    for item in asked:
        path = f"{above}{item.link_id}"
        if item.conditions and not _holds(item, scopes):
            hidden.add(path)
            continue
        nodes = [node for node in items if node.link_id == item.link_id]
        if item.kind != "group":
            found += nodes
            continue
        if not item.repeats and not nodes:
            nodes = [Answered(item.link_id)]
        for index, node in enumerate(nodes):
            place = f"{path}[{index}]/" if item.repeats else f"{path}/"
            nearest = (_names(item.items), node.items)
            inside = _asked(item.items, node.items, (nearest, *scopes), place, hidden)
            if inside or item.repeats:
                found.append(replace(node, items=inside))
    return tuple(found)


def _names(items: Sequence[Item]) -> frozenset[str]:
    return frozenset(name for item in items for name in (item.link_id, *_names(item.items)))


def _holds(item: Item, scopes: Sequence[Scope]) -> bool:
    results = [_is_met(condition, _nearest(scopes, condition.question)) for condition in item.conditions]
    return all(results) if item.needs_all else any(results)


def _nearest(scopes: Sequence[Scope], name: str) -> list[Answer]:
    """Return the answers of the nearest question of a name, even when it has none: an outer one is another."""
    items = next((items for names, items in scopes if name in names), ())
    return list(_answers_below(items, name))


def _answers_below(items: Sequence[Answered], name: str) -> Iterator[Answer]:
    for node in items:
        if node.link_id == name:
            yield from node.answers
        yield from _answers_below(node.items, name)


def _is_met(condition: Condition, answers: Sequence[Answer]) -> bool:
    if condition.operator == "exists":
        return bool(answers) == bool(condition.value)
    if condition.operator == "!=":
        # R4: "whether no answer exists, or every answer is not equal"; an unanswered question is not equal.
        return all(not _equal(answer.value, condition.value) for answer in answers)
    if condition.operator == "=":
        return any(_equal(answer.value, condition.value) for answer in answers)
    compare, limit = _COMPARE[condition.operator], condition.value
    return any(
        compare(answer.value, limit)
        for answer in answers
        if isinstance(answer.value, int | float) and isinstance(limit, int | float)
    )


def _equal(value: Value, other: Value) -> bool:
    if isinstance(value, Coding) and isinstance(other, Coding):
        return value.key == other.key
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    return value == other


def _problems(
    asked: Sequence[Item], items: Sequence[Answered], above: str, hidden: set[str]
) -> Iterator[Problem]:
    for item in asked:
        path = f"{above}{item.link_id}"
        if path in hidden:
            continue
        nodes = [node for node in items if node.link_id == item.link_id]
        if item.kind == "group":
            yield from _problems_of_group(item, nodes, path, hidden)
        elif item.is_question:
            answers = [answer for node in nodes for answer in node.answers]
            yield from _problems_of_answers(item, answers, path)


def _broken(
    asked: Sequence[Item],
    scope: tuple[Mapping[str, Sequence[Value]], Sequence[Answered]],
    above: str,
    hidden: set[str],
) -> Iterator[tuple[Problem, bool]]:
    """Yield broken edit checks and whether each is an error; an answer of the same instance counts before others."""
    outer, items = scope
    known = {**outer, **_values(items)}
    for item in asked:
        path = f"{above}{item.link_id}"
        if path in hidden:
            continue
        for check in item.checks:
            if check.rule.is_broken(known):
                yield Problem(path, "check", check=check.key, words=check.words), check.is_error
        nodes = [node for node in items if node.link_id == item.link_id] if item.kind == "group" else []
        for index, node in enumerate(nodes):
            inside = f"{path}[{index}]/" if item.repeats else f"{path}/"
            yield from _broken(item.items, (known, node.items), inside, hidden)


def _values(items: Sequence[Answered]) -> dict[str, list[Value]]:
    found: dict[str, list[Value]] = {}
    for node in items:
        found.setdefault(node.link_id, []).extend(answer.value for answer in node.answers)
        for name, values in _values(node.items).items():
            found.setdefault(name, []).extend(values)
    return found


def _problems_of_group(
    item: Item, nodes: Sequence[Answered], path: str, hidden: set[str]
) -> Iterator[Problem]:
    if item.repeats:
        if item.is_required and not nodes:
            yield Problem(path, "required")
        for index, node in enumerate(nodes):
            yield from _problems(item.items, node.items, f"{path}[{index}]/", hidden)
        return
    if len(nodes) > 1:
        yield Problem(path, "one_instance")
    yield from _problems(item.items, nodes[0].items if nodes else (), f"{path}/", hidden)


def _problems_of_answers(item: Item, answers: Sequence[Answer], path: str) -> Iterator[Problem]:
    given = [answer for answer in answers if answer.value != ""]
    if item.is_required and not given:
        yield Problem(path, "required")
    if len(given) > 1 and not item.repeats:
        yield Problem(path, "one_answer")
    options = {option.coding.key for option in item.options}
    for answer in given:
        value = answer.value
        if isinstance(value, Coding) and value.key not in options:
            yield Problem(path, "not_an_option")
        if isinstance(value, int | float) and not isinstance(value, bool):
            if item.minimum is not None and value < item.minimum:
                yield Problem(path, "minimum", f"{item.minimum:g}")
            if item.maximum is not None and value > item.maximum:
                yield Problem(path, "maximum", f"{item.maximum:g}")
        if isinstance(value, str) and item.longest is not None and len(value) > item.longest:
            yield Problem(path, "too_long", str(item.longest))
