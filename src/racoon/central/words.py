"""Numbers with the separators of a language."""

from __future__ import annotations

import math


def score_text(value: float | None, language: str, places: int = 3) -> str:
    """Write a score between 0 and 1 with fixed decimals; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:.{places}f}"
    return text.replace(".", ",") if language == "de" else text


def fixed_text(value: float | None, language: str, places: int) -> str:
    """Write a number with fixed decimals and the language's separators; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{value:,.{places}f}"
    if language == "de":
        text = text.translate(str.maketrans(",.", ".,"))
    return text.replace("-", "−")


def number_text(value: float | None, language: str, digits: int = 4) -> str:
    """Write a number with the given significant digits and the language's separators; a dash for none."""
    if value is None or not math.isfinite(value):
        return "–"
    places = 0 if value == 0 else max(0, digits - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:,.{min(places, 6)}f}"
    if language == "de":
        text = text.translate(str.maketrans(",.", ".,"))
    return text.replace("-", "−")
