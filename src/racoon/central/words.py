"""Words for people: states and codes in their language, numbers with its separators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from racoon.web.translation import translations

NAMES: Mapping[str, str] = {
    "alert.silent": "No sign of life",
    "alert.disk": "Little disk space",
    "alert.certificate": "Certificate ends soon",
    "alert.quarantine": "Objects in quarantine",
    "condition.well": "well",
    "condition.attention": "needs attention",
    "condition.silent": "silent",
    "condition.never_seen": "not connected yet",
    "diz_check": "DIC check",
    "uac_vote": "UAC vote",
    "dpo_ok": "DPO agrees",
}
"""Stable codes whose English words are not just the code with spaces."""


TONES: Mapping[str, str] = {
    **dict.fromkeys(
        ("released", "opted_in", "data_ready", "succeeded", "completed", "enrolled", "success", "active"),
        "good",
    ),
    **dict.fromkeys(("refused", "failed", "failure", "declined", "stopped", "suspended", "rejected"), "bad"),
    **dict.fromkeys(("cancelled", "invited", "data_hold", "withdrawn", "rework", "conditions_open"), "warn"),
    "condition.well": "good",
    "condition.attention": "warn",
    "condition.silent": "bad",
}
"""Colour of a state's label; the words say the same, so that nobody depends on colour."""


def tone(state: str) -> str:
    """Return ``good``, ``warn``, ``bad`` or nothing."""
    return TONES.get(state, "")


def words_of(language: str) -> Callable[[str | None], str]:
    """Return the function that says a code or a public reason in a language.

    Its answer is plain text, so templates escape it.  Inside a template ``_()`` is for the template's own
    sentences only: what it returns counts as safe HTML there.
    """
    translate = translations(language).gettext

    def words(text: str | None) -> str:
        if not text:
            return ""
        english = NAMES.get(text, text if " " in text else text.replace("_", " "))
        return translate(english)

    return words


def score_text(value: float | None, language: str, places: int = 3) -> str:
    """Write a score between 0 and 1 with fixed decimals; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{places}f}"
    return text.replace(".", ",") if language == "de" else text


def number_text(value: float | None, language: str, digits: int = 4) -> str:
    """Write a number with the given significant digits and the language's separators; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    places = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    if language == "de":
        text = text.translate(str.maketrans(",.", ".,"))
    return text.replace("-", "−")
