"""Texts, codes and values of templates and answers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass


@dataclass(frozen=True)
class Coding:
    """A coded answer as FHIR writes it; two codings are the same when system and code are."""

    system: str
    code: str
    display: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two codings the same."""
        return self.system, self.code


Value = bool | int | float | str | Coding
"""A date is a text, ``2026-12-31``."""


@dataclass(frozen=True)
class Words:
    """A text and its translations by language."""

    text: str
    translations: tuple[tuple[str, str], ...] = ()

    def in_language(self, language: str) -> str:
        """Return the translation, else the text as it was written."""
        return dict(self.translations).get(language, self.text)


def is_date(value: object) -> bool:
    """Tell whether something is a whole day as FHIR writes it, from the year 1000 on; years alone are none."""
    if not isinstance(value, str) or len(value) != len("2026-12-31") or value < "1000":
        return False
    try:
        dt.date.fromisoformat(value)
    except ValueError:
        return False
    return True
