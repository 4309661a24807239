"""Codes for words in free texts: what is offered while somebody writes, and which codes a text may carry.

Terms come from the report's template, the labels of the reading list, every other template and protocol of this node,
and DICOM's own context groups; all of it is on this machine.  Pure, but for the terms themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from racoon.domain.labels import LABEL_MAPS, Label
from racoon.domain.questionnaire import (
    Answered,
    BadAnswers,
    CodedWords,
    Coding,
    Template,
    answers_by_path,
    is_denied,
    still_standing,
)
from racoon.node.reading.reports.in_sr import SCHEMES, coding_of
from racoon.standards.dicom.terms import clinical_terms

SHORTEST = 3
"""Letters after which codes are offered."""

MOST_WORDS = 5
"""Words before the hand that are looked at together."""

_QUALIFIER = re.compile(r" \([a-z /]+\)$")
_INFLECTION = 3
"""Letters that an inflected word may have more than the term, e.g. "Rundherde" for "Rundherd"."""


@dataclass(frozen=True)
class Term:
    """A concept with one of its names.

    Parameters
    ----------
    coding
        With the English display.
    name
        As it is written in ``language``; empty for any.
    origin
        ``"template"``, ``"study"``, ``"node"`` or ``"dicom"``, the nearest first.
    """

    coding: Coding
    name: str
    language: str
    origin: str


ORIGINS = ("template", "study", "node", "dicom")


@dataclass(frozen=True)
class Suggestion:
    """A code for the words before the hand.

    Parameters
    ----------
    start, words
        Where they begin in the text that was sent, and what stands there.
    written
        What stands there when the code is taken: the same words, or the whole name of what was begun.
    """

    coding: Coding
    start: int
    words: str
    written: str
    origin: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "system": self.coding.system,
            "code": self.coding.code,
            "display": self.coding.display,
            "start": self.start,
            "words": self.words,
            "written": self.written,
            "origin": self.origin,
        }


class CodingHelp:
    """The terms of one report.

    Parameters
    ----------
    template, own_labels
        The report's, and those of its reading list.
    templates, labels
        All others of the node.
    german
        German names of labels by their English ones, where a label has none.
    """

    def __init__(
        self,
        template: Template,
        own_labels: Sequence[Label],
        templates: Iterable[Template],
        labels: Iterable[Label],
        german: Mapping[str, str],
    ) -> None:
        shipped = [label for entry in LABEL_MAPS for label in entry.labels]
        self._near = [
            *_of_template(template, "template"),
            *_of_labels(own_labels, "study", german),
            *(term for item in templates for term in _of_template(item, "node")),
            *_of_labels([*labels, *shipped], "node", german),
        ]

    def offer(self, text: str, language: str, most: int = 6) -> list[Suggestion]:
        """Return codes for the words that a text ends with, the longest match and the nearest origin first.

        Parameters
        ----------
        text
            What stands before the hand.
        language
            Terms of this one come before those of another.
        """
        if is_denied(text, len(text)):
            return []
        found: dict[tuple[str, str], tuple[tuple[int, ...], Suggestion]] = {}
        for start, words in _endings(text):
            for term in self._terms():
                fit = _fit(words, term.name)
                if fit is None:
                    continue
                written = words if fit == 0 else term.name
                rank = (
                    -len(words.split()),
                    fit,
                    0 if term.language in ("", language) else 1,
                    ORIGINS.index(term.origin),
                    len(term.name),
                )
                made = Suggestion(term.coding, start, words, written, term.origin)
                before = found.get(term.coding.key)
                if before is None or rank < before[0]:
                    found[term.coding.key] = (rank, made)
        return [made for _, made in sorted(found.values(), key=lambda pair: pair[0])[:most]]

    def checked(self, items: Sequence[Answered]) -> tuple[Answered, ...]:
        """Return answers whose codes are known terms, in our words, of words that still stand in their text.

        Raises
        ------
        BadAnswers
            If a code is none that is offered here.
        """
        return tuple(self._checked(item) for item in items)

    def _checked(self, item: Answered) -> Answered:
        answers = tuple(
            replace(
                answer,
                codes=still_standing((self._known(found) for found in answer.codes), str(answer.value)),
            )
            if answer.codes
            else answer
            for answer in item.answers
        )
        return replace(item, answers=answers, items=tuple(self._checked(child) for child in item.items))

    def _known(self, given: CodedWords) -> CodedWords:
        found = next((term.coding for term in self._terms() if term.coding.key == given.coding.key), None)
        if found is None:
            raise BadAnswers("The text has a code that is none of those offered here.")
        return CodedWords(given.words, found)

    def _terms(self) -> Iterator[Term]:
        yield from self._near
        yield from _of_dicom()


def _of_template(template: Template, origin: str) -> Iterator[Term]:
    for item in template.walk():
        named = [(coding, item.words) for coding in item.codes]
        for coding, words in [*named, *((option.coding, option.words) for option in item.options)]:
            # Answers such as "moderate" that only the template knows are no terms.
            if coding.system not in SCHEMES:
                continue
            english = Coding(coding.system, coding.code, coding.display or words.text)
            for language, text in (("en", words.text), *words.translations):
                yield Term(english, text, language, origin)


def _of_labels(labels: Iterable[Label], origin: str, german: Mapping[str, str]) -> Iterator[Term]:
    for label in labels:
        coding = coding_of(label.code)
        yield Term(coding, label.code.meaning, "en", origin)
        if name := label.german or german.get(label.code.meaning, ""):
            yield Term(coding, name, "de", origin)


@cache
def _of_dicom() -> tuple[Term, ...]:
    found = []
    for code in clinical_terms():
        coding = coding_of(code)
        found.append(Term(coding, _QUALIFIER.sub("", code.meaning), "en", "dicom"))
    return tuple(found)


def _endings(text: str) -> Iterator[tuple[int, str]]:
    """Yield the last words of a text with where they begin, the most words first."""
    part = re.split(r"[.;:,!?\n]", text)[-1]
    starts = [found.start() for found in re.finditer(r"\S+", part)][-MOST_WORDS:]
    for start in starts:
        words = part[start:].strip()
        if len(words) >= SHORTEST:
            yield len(text) - len(part) + start, words


def _fit(words: str, name: str) -> int | None:
    """Say how words fit a name: 0 they are it, perhaps inflected, 1 they begin it, 2 a later word of it; else None."""
    written, wanted = words.casefold(), name.casefold()
    if len(wanted) >= SHORTEST and written.startswith(wanted) and len(written) - len(wanted) <= _INFLECTION:
        rest = written[len(wanted) :]
        return 0 if rest.isalpha() or not rest else None
    if wanted.startswith(written):
        return 1
    return 2 if f" {written}" in wanted else None


def with_known_codes(
    template: Template, items: tuple[Answered, ...], templates: Iterable[Template], labels: Iterable[Label]
) -> tuple[Answered, ...]:
    """Return answers as :meth:`CodingHelp.checked` leaves them; without any code nothing is looked up.

    Raises
    ------
    BadAnswers
        If a code is none that is offered here.
    """
    if not any(answer.codes for answers in answers_by_path(template, items).values() for answer in answers):
        return items
    return CodingHelp(template, (), templates, labels, {}).checked(items)
