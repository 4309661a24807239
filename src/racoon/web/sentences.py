"""Sentences that carry names or numbers, found again in the catalogue: what a plan lacks, why a site can't compute.

A message is English and whole when it crosses a border; a page says it in its reader's language.  The names in it are
the plan's own and stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from racoon.standards.fhir.rules.sentences import SENTENCES as FHIR_SENTENCES

_HOLE = re.compile(r"%\((\w+)\)s")

SITE_SENTENCES = (
    "This site has not measured %(name)s on the frozen dataset; measure first.",
    "This site has no clinical course of these subjects for %(name)s.",
    "This site has no column %(name)s; the plan names no source for it.",
    "This round can't be computed here: %(reason)s",
    "the table has no column %(name)s.",
    "the column %(name)s holds a level that the plan does not know.",
    "the column %(name)s holds something that is no number.",
    "the column %(name)s must hold %(words)s.",
    "%(name)s must hold whole numbers of periods.",
    "an interrupted time series needs %(number)s periods on either side.",
    "these columns do not vary: %(names)s.",
    "linearly dependent, leave one of them out: %(names)s.",
    "Not computed: %(reason)s",
    "Left in round %(round)s: %(reason)s",
)
"""What sites and estimators say about their own rows."""

SERVICE_SENTENCES = (
    "%(name)s asks to come later (HTTP %(status)s).",
    "%(name)s does not let this node in. Check user, password file, token file and certificate.",
    "%(name)s refused the request (HTTP %(status)s). Check its address, domain and version.",
    "%(name)s did not answer lately and is asked again soon.",
    "%(name)s did not answer. Check that it runs and that this machine reaches it.",
    (
        "%(name)s answered with something that is no JSON. Check that its address is the root of its interface and not"
        " of its pages."
    ),
    "%(name)s did not give every number a pseudonym of its own; none of them is used.",
    (
        "The server's CapabilityStatement names no search parameter %(name)s for %(type)s. Take it out of diz.filters,"
        " or let the server index it."
    ),
    (
        "The server searched %(type)s without %(name)s, as its self link says, and would have given more than was asked"
        " for. Nothing was taken. Take it out of diz.filters, or let the server index it."
    ),
)
"""What a service of the hospital did, and what a person does next."""

BASIS_SENTENCES = (
    "Name the study, or %(name)s for this site's own archive.",
    "A legal basis needs its %(what)s: in words, at least three letters.",
    "A period of the legal basis ends before it begins.",
    "%(name)s is no day: write it as 2026-01-31.",
)
"""What is wrong with a legal basis that a site records."""

TABLE_SENTENCES = (
    "The table is not encoded as %(name)s. Name its encoding.",
    (
        "The table has no column %(name)s; it has %(count)s columns of other names. Check names and separator, and that"
        " the first row holds the names of the columns."
    ),
    "The mapping says something wrong at %(name)s: %(known)s.",
    "The mapping names no site code of the network for %(name)s. Add it to 'sites'.",
)
"""What is wrong with a table that was given."""

PLAN_SENTENCES = (
    "%(text)s: the plan has no variable %(name)s before this one.",
    "the plan has no variable %(name)s.",
    "%(name)s must be of the kind %(known)s.",
    "%(name)s must be a %(kinds)s.",
    "%(what)s is one of %(known)s, not %(name)s.",
    "%(what)s are one of %(known)s, not %(name)s.",
    "%(name)s is one of %(known)s.",
    "no such estimator with the title %(name)s stands before it.",
    "a rank test across sites needs bins for %(name)s.",
    "%(name)s compares exactly two groups.",
    "%(name)s compares exactly two variables.",
    (
        "%(name)s needs exact times, and over a grid nobody knows when within an interval it switches; leave the "
        "edges out, then the model is stratified by site."
    ),
    "%(name)s stands alone in a Cox model without a grid; there a covariate may change in time.",
    (
        "The term %(name)s is not understood; write a variable, spline(age, 30, 50, 70), after(day), or "
        "several of them with ':' between."
    ),
    "The term %(name)s: after() takes one variable.",
    "The term %(name)s: the knots of a spline are numbers.",
    "The term %(name)s: a spline has three or more ascending knots.",
    "it takes %(least)s or more different variables.",
    "imputations are 0, or 2 to %(most)s.",
    "the interruption lies within the periods, of which there are at most %(most)s.",
    "%(name)s is defined twice.",
    "%(name)s is harmonised; only sums, means and models can use it.",
    "The condition of the subgroup %(name)s must be true or false.",
    "%(name)s is no name: letters, digits and underscores, a letter first.",
    "%(name)s must be a mapping of keys to values.",
    "%(name)s has unknown parts: %(unknown)s. Known are %(known)s.",
    "The plan needs a list of %(name)s.",
    "%(name)s: a category, and only a category, has two or more different levels.",
    "bins of %(name)s need lower, upper and width as numbers.",
    "%(name)s: a derived variable has no source of its own.",
    "%(name)s: a source is %(help)s.",
    "The derivation of %(name)s gives a %(kinds)s, not a %(kinds2)s.",
    "%(part)s of the estimator %(name)s has the wrong type.",
    "The estimator %(name)s lacks a part; it has %(known)s.",
    "%(name)s takes numbers, with a point and separated by commas.",
    "An expression may have %(number)s characters; split it into several variables.",
    "An expression may have %(number)s words; split it into several variables.",
    "An expression may be nested %(number)s deep; split it into several variables.",
    "An expression may be nested %(number)s deep.",
    "There is no function %(name)s; there are %(known)s.",
    "%(text)s: character %(place)s is not understood.",
    "%(text)s: at character %(place)s, %(name)s: expected %(words)s.",
    "%(text)s ends too early: expected %(words)s.",
    "%(text)s: the choices must be of the kind %(kinds)s.",
    "%(text)s: %(kinds)s and %(kinds2)s can't be compared.",
    "%(text)s: %(name)s takes (%(list)s), not (%(list2)s).",
    "%(text)s: a 'level' can only be compared with a categorical variable.",
    "%(text)s: %(name)s has no level %(level)s; it has %(known)s.",
)
"""What the checks of a plan say; in an order in which a sentence that is part of another comes later."""


def compile_sentences(known: Sequence[str]) -> tuple[tuple[re.Pattern[str], str], ...]:
    """Make patterns that find the names in a sentence again.

    Parameters
    ----------
    known
        Sentences as the catalogue has them, with ``%(name)s`` where a name stands.
    """
    found = []
    for sentence in known:
        parts = _HOLE.split(sentence)
        pattern = "".join(
            f"(?P<{part}>.+)" if place % 2 else re.escape(part) for place, part in enumerate(parts)
        )
        found.append((re.compile(pattern, re.DOTALL), sentence))
    return tuple(found)


_ALL = compile_sentences(
    (
        *SITE_SENTENCES,
        *SERVICE_SENTENCES,
        *TABLE_SENTENCES,
        *BASIS_SENTENCES,
        *PLAN_SENTENCES,
        *(sentence for sentence in FHIR_SENTENCES if _HOLE.search(sentence)),
    )
)


def say_sentence(text: str, translate: Callable[[str], str], words: Callable[[str], str]) -> str | None:
    """Say a sentence with names in it; ``None`` where it is none of these.

    Parameters
    ----------
    text
        English, whole.
    translate, words
        Of the reader's language: a sentence of the catalogue, and a word or another sentence.
    """
    for pattern, known in _ALL if text.endswith(".") else ():
        if found := pattern.fullmatch(text):
            return translate(known) % {
                name: _say_part(name, part, translate, words) for name, part in found.groupdict().items()
            }
    return None


def _say_part(name: str, part: str, translate: Callable[[str], str], words: Callable[[str], str]) -> str:
    if name.startswith("kinds"):
        return f" {translate('or')} ".join(words(kind) for kind in part.split(" or "))
    if name.startswith("list"):
        return ", ".join(words(kind) for kind in part.split(", "))
    return words(part) if name in {"what", "words", "reason"} else part
