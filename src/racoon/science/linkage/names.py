"""German names in one form: umlauts and their spellings, ß, titles, hyphens, double names, particles."""

from __future__ import annotations

import re
import unicodedata

TITLES = frozenset((
    "c", "dent", "dipl", "doz", "dr", "dres", "frau", "h", "habil", "herr", "ing", "jur", "mag", "med",
    "mult", "nat", "pd", "phil", "priv", "prof", "rer", "univ",
))  # fmt: skip
PARTICLES = frozenset((
    "baron", "da", "de", "del", "den", "der", "di", "freifrau", "freiherr", "freiin", "graefin", "graf",
    "grafin", "la", "le", "ten", "ter", "van", "vom", "von", "zu", "zum", "zur",
))  # fmt: skip
"""They come and go between systems: ``von Stein``, ``Stein, v.`` and ``Stein`` are often one person."""

_SPELLED = (
    ("ae", "a"),
    ("oe", "o"),
    ("ue", "u"),
    ("ss", "s"),
    ("ß", "s"),
    ("ph", "f"),
    ("th", "t"),
    ("ck", "k"),
)
_LETTERS = re.compile(r"[^a-z]+")


def name_parts(text: str) -> tuple[str, ...]:
    """Split a name into its parts in one spelling, sorted, without titles and particles.

    Examples
    --------
    >>> name_parts("Prof. Dr. med. Müller-Lüdenscheidt") == name_parts("MUELLER LUEDENSCHEIDT")
    True
    >>> name_parts("Freiherr von Groß")
    ('gros',)
    """
    plain = unicodedata.normalize("NFKD", text.casefold().replace("ß", "ss"))
    plain = "".join(letter for letter in plain if not unicodedata.combining(letter))
    found = []
    for part in _LETTERS.split(plain):
        if not part or part in TITLES:
            continue
        for spelled, letter in _SPELLED:
            part = part.replace(spelled, letter)  # noqa: PLW2901 -- one spelling after the other
        found.append(part)
    kept = [part for part in found if part not in PARTICLES]
    return tuple(sorted(set(kept or found)))
