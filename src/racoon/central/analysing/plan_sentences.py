"""What is wrong with a plan, said in the reader's language: sentences of the plan's checks that carry names."""

from __future__ import annotations

import re

from racoon.web.translation import translations
from racoon.web.words import words_of

_QUOTED = r"(?:'.*'|\".*\")"

PLAN_PATTERNS = tuple(
    (re.compile(pattern), known)
    for pattern, known in (
        (
            rf"(?P<text>{_QUOTED}): the plan has no variable (?P<name>{_QUOTED}) before this one\.",
            "%(text)s: the plan has no variable %(name)s before this one.",
        ),
        (rf"the plan has no variable (?P<name>{_QUOTED})\.", "the plan has no variable %(name)s."),
        (r"(?P<name>\w+) must be a (?P<kinds>[a-z]+(?: or [a-z]+)*)\.", "%(name)s must be a %(kinds)s."),
        (
            rf"(?P<what>[a-zA-Z ]+) (?:is|are) one of (?P<known>.+), not (?P<name>{_QUOTED})\.",
            "%(what)s is one of %(known)s, not %(name)s.",
        ),
        (
            rf"no such estimator with the title (?P<name>{_QUOTED}) stands before it\.",
            "no such estimator with the title %(name)s stands before it.",
        ),
        (
            r"a rank test across sites needs bins for (?P<name>\w+)\.",
            "a rank test across sites needs bins for %(name)s.",
        ),
        (r"(?P<name>[\w-]+) compares exactly two groups\.", "%(name)s compares exactly two groups."),
        (r"(?P<name>[\w-]+) compares exactly two variables\.", "%(name)s compares exactly two variables."),
        (
            (
                rf"(?P<name>{_QUOTED}) stands alone in a Cox model without a grid; there a covariate may change in "
                r"time\."
            ),
            "%(name)s stands alone in a Cox model without a grid; there a covariate may change in time.",
        ),
        (
            (
                rf"The term (?P<name>{_QUOTED}) is not understood; write a variable, spline\(age, 30, 50, 70\), "
                r"after\(day\), or several of them with ':' between\."
            ),
            (
                "The term %(name)s is not understood; write a variable, spline(age, 30, 50, 70), after(day), or "
                "several of them with ':' between."
            ),
        ),
        (
            r"it takes (?P<least>\d+) or more different variables\.",
            "it takes %(least)s or more different variables.",
        ),
        (r"(?P<name>\w+) is defined twice\.", "%(name)s is defined twice."),
        (
            r"(?P<name>\w+) is harmonised; only sums, means and models can use it\.",
            "%(name)s is harmonised; only sums, means and models can use it.",
        ),
        (
            rf"The condition of the subgroup (?P<name>{_QUOTED}) must be true or false\.",
            "The condition of the subgroup %(name)s must be true or false.",
        ),
        (
            rf"(?P<name>{_QUOTED}) is no name: letters, digits and underscores, a letter first\.",
            "%(name)s is no name: letters, digits and underscores, a letter first.",
        ),
    )
)
"""Pattern of the sentence, and what the catalogue knows it as."""


def problem_text(text: str, language: str) -> str:
    """Say what is wrong with a plan.

    Parameters
    ----------
    text
        Public message of a defect; the title of an estimator may stand before it.
    language
        ``"de"`` or ``"en"``.
    """
    translate, words = translations(language).gettext, words_of(language)
    starts = [0, *(found.end() for found in re.finditer(": ", text))]
    for start in starts:
        for pattern, known in PLAN_PATTERNS:
            if found := pattern.fullmatch(text[start:]):
                values = {
                    name: words(part)
                    if name == "what"
                    else _kinds(part, language)
                    if name == "kinds"
                    else part
                    for name, part in found.groupdict().items()
                }
                return text[:start] + translate(known) % values
    return words(text)


def _kinds(text: str, language: str) -> str:
    """Say the kinds of a variable, which stand with ``or`` between."""
    words = words_of(language)
    return f" {translations(language).gettext('or')} ".join(words(kind) for kind in text.split(" or "))
