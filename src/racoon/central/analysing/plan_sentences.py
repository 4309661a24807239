"""What is wrong with a plan, said in the reader's language; the title of an estimator stays as it is."""

from __future__ import annotations

import re

from racoon.web.sentences import say_sentence
from racoon.web.translation import translations
from racoon.web.words import words_of


def problem_text(text: str, language: str) -> str:
    """Say what is wrong with a plan.

    Parameters
    ----------
    text
        Public message of a defect; the title of an estimator may stand before it.
    language
        ``"de"`` or ``"en"``.
    """
    if language == "en":
        return text
    translate, words = translations(language).gettext, words_of(language)
    for start in (0, *(found.end() for found in re.finditer(": ", text))):
        rest = text[start:]
        said = translate(rest) if rest else rest
        if said == rest:
            said = say_sentence(rest, translate, words) or rest
        if said != rest:
            return text[:start] + said
    return words(text)
