"""German and English: the catalogue, and which language a request wants."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import date, datetime
from importlib.resources import files

from babel import dates, numbers
from babel.messages.pofile import read_po
from fastapi import Request

LANGUAGES = ("en", "de")
COOKIE = "racoon_language"


@functools.cache
def catalogue(language: str) -> dict[str, str]:
    """Load the translations of a language; English is the language of the source and has none."""
    if language == "en":
        return {}
    resource = files("racoon.web") / "locale" / language / "racoon.po"
    with resource.open("rb") as stream:
        messages = read_po(stream, locale=language)
    return {str(message.id): str(message.string) for message in messages if message.id and message.string}


def language_of(request: Request) -> str:
    """Choose the language: ``?lang=``, then the cookie, then what the browser asks for."""
    for wanted in (request.query_params.get("lang"), request.cookies.get(COOKIE)):
        if wanted in LANGUAGES:
            return str(wanted)
    accepted = request.headers.get("accept-language", "")
    for part in accepted.split(","):
        code = part.split(";")[0].strip().lower()[:2]
        if code in LANGUAGES:
            return code
    return "en"


def translator(language: str) -> Callable[..., str]:
    """Return the function templates call as ``_``; values are filled in by name."""
    messages = catalogue(language)

    def translate(text: str, **values: object) -> str:
        translated = messages.get(text, text)
        return translated.format(**values) if values else translated

    return translate


def number_format(language: str) -> Callable[[float | int | None, int], str]:
    """Return a formatter of numbers in the language's own way; ``None`` is an en dash."""

    def format_number(value: float | None, digits: int = 0) -> str:
        if value is None:
            return "–"
        pattern = "#,##0" + ("." + "0" * digits if digits else "")
        return numbers.format_decimal(value, format=pattern, locale=language)

    return format_number


def time_format(language: str) -> Callable[[datetime | date | str | None], str]:
    """Return a formatter of times; ``None`` is an en dash."""

    def format_time(value: datetime | date | str | None) -> str:
        if value is None or value == "":
            return "–"
        if isinstance(value, str):
            value = datetime.fromisoformat(value)
        if isinstance(value, datetime):
            return dates.format_datetime(value, "short", locale=language)
        return dates.format_date(value, "medium", locale=language)

    return format_time
