"""German and English: which one a request wants, and the words.

Sources are English; ``locale/<language>/LC_MESSAGES/*.po`` hold the translations, one file per place.
They are read as they are, so that a clone needs no compile step.
"""

from __future__ import annotations

import functools
import gettext
import io
from importlib.resources import files

from babel.core import negotiate_locale
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from starlette.requests import Request

LANGUAGES = ("en", "de")
LANGUAGE_COOKIE = "racoon_language"


def language_of(request: Request) -> str:
    """Return ``"de"`` or ``"en"``: by cookie, then by Accept-Language, then what the participant prefers."""
    chosen = request.cookies.get(LANGUAGE_COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    wanted = [
        item.partition(";")[0].strip() for item in request.headers.get("accept-language", "").split(",")
    ]
    default = str(getattr(request.app.state, "language", "en"))
    return negotiate_locale([item for item in wanted if item], LANGUAGES, sep="-") or default


@functools.cache
def translations(language: str) -> gettext.NullTranslations:
    """Return the words of a language; English has none beyond the sources."""
    folder = files("racoon.web").joinpath("locale", language, "LC_MESSAGES")
    found = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    words: gettext.NullTranslations = gettext.NullTranslations()
    if language not in LANGUAGES:
        return words
    for name in (entry for entry in found if entry.endswith(".po")):
        compiled = io.BytesIO()
        with folder.joinpath(name).open("rb") as stream:
            write_mo(compiled, read_po(stream, locale=language))
        compiled.seek(0)
        catalogue = gettext.GNUTranslations(compiled)
        catalogue.add_fallback(words)
        words = catalogue
    return words
