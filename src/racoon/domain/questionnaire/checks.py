"""Edit checks: comparisons between answers, written as a small part of FHIRPath that other engines compute too.

``%resource.descendants().where(linkId='a').answer.value <= %resource.descendants().where(linkId='b').answer.value``;
instead of the second question a number, a date (``@2026-12-31``), ``true`` or ``false``; a coded answer is compared
with ``.answer.value.code = '64572001'``.  Two comparisons may be joined by ``implies``.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from racoon.domain.questionnaire.words import Coding, Value, Words

_QUESTION = (
    r"%resource\.descendants\(\)\.where\(linkId ?= ?'(?P<{0}>[^']+)'\)"
    r"\.answer\.value(?:\.(?:code|ofType\(\w+\)))?"
)
_LITERAL = (
    r"(?P<number>-?[0-9]+(?:\.[0-9]+)?)|@(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"|(?P<truth>true|false)|'(?P<text>[^']*)'"
)
_COMPARISON = re.compile(
    rf"\s*{_QUESTION.format('left')}\s*(?P<operator><=|>=|!=|=|<|>)\s*(?:{_QUESTION.format('right')}|{_LITERAL})\s*"
)

_COMPARE: Mapping[str, Callable[[float | str, float | str], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}


@dataclass(frozen=True)
class Comparison:
    """A question compared with another one, or with a value where ``right`` is empty."""

    left: str
    operator: str
    right: str = ""
    value: Value = ""

    def holds(self, answers: Mapping[str, Sequence[Value]]) -> bool | None:
        """Tell whether it is true of answers by link id; None while an answer is missing or there are several."""
        left = answers.get(self.left, ())
        right = answers.get(self.right, ()) if self.right else (self.value,)
        if len(left) != 1 or len(right) != 1:
            return None
        first, second = _plain(left[0]), _plain(right[0])
        if self.operator in ("=", "!="):
            return (first == second) == (self.operator == "=")
        if isinstance(first, str) != isinstance(second, str):
            return None
        return _COMPARE[self.operator](first, second)


@dataclass(frozen=True)
class Rule:
    """A comparison, or one that has to hold where another one does."""

    comparison: Comparison
    where: Comparison | None = None

    @property
    def questions(self) -> Iterator[str]:
        """Link ids of the questions it looks at."""
        for part in (self.comparison, self.where):
            if part is not None:
                yield part.left
                if part.right:
                    yield part.right

    def is_broken(self, answers: Mapping[str, Sequence[Value]]) -> bool:
        """Tell whether the answers contradict it; what is not answered contradicts nothing."""
        if self.where is not None and self.where.holds(answers) is not True:
            return False
        return self.comparison.holds(answers) is False


@dataclass(frozen=True)
class Check:
    """An edit check of a template.

    Parameters
    ----------
    key
        Names it within the template.
    words
        What is said at the item when it is broken.
    is_error
        Whether it stands in the way of signing; else it raises a query, which the reader answers.
    """

    key: str
    words: Words
    is_error: bool
    rule: Rule

    @property
    def questions(self) -> Iterator[str]:
        """Link ids of the questions it looks at."""
        return self.rule.questions


def rule_of(expression: str) -> Rule:
    """Read an expression.

    Raises
    ------
    ValueError
        If it is none of these comparisons.
    """
    parts = [_comparison(part) for part in expression.split(" implies ")]
    if len(parts) > 2:
        raise ValueError(expression)
    return Rule(parts[-1], parts[0] if len(parts) == 2 else None)


def _comparison(text: str) -> Comparison:
    found = _COMPARISON.fullmatch(text)
    if found is None:
        raise ValueError(text)
    given = found.groupdict()
    value: Value = ""
    if given["number"] is not None:
        value = float(given["number"])
    elif given["truth"] is not None:
        value = given["truth"] == "true"
    elif not given["right"]:
        value = given["date"] or given["text"] or ""
    return Comparison(given["left"], given["operator"], given["right"] or "", value)


def _plain(value: Value) -> float | str:
    if isinstance(value, Coding):
        return value.code
    return value
