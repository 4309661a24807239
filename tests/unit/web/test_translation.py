"""German is complete, and no template says anything that cannot be translated."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from racoon.platform.http.problem import SENTENCES
from racoon.web.pages import environment
from racoon.web.translation import translations
from racoon.web.words import tone, words_of
from tests.unit.web.spoken import TEMPLATES, everything, template_texts

FILES = sorted(TEMPLATES.rglob("*.html"))

SAME_IN_BOTH = {
    "RACOON",
    "CENTRAL",
    "CSV",
    "JSON",
    "PDF",
    "SD",
    "SEG",
    "C",
    "W",
    "GB",
    "MB",
    "kB",
    "mm",
    "HU",
    "English",
    "Deutsch",
}
"""Names, units and abbreviations that need no translation."""


def test_every_text_has_a_german_translation() -> None:
    missing = {text: sorted(places) for text, places in everything().items() if not is_translated(text)}
    assert missing == {}


def is_translated(text: str) -> bool:
    catalogue = translations("de")
    while catalogue is not None:
        known = getattr(catalogue, "_catalog", {})
        if known.get(text) or known.get((text, 0)):
            return True
        catalogue = catalogue._fallback
    return False


def test_every_text_of_a_template_can_be_said() -> None:
    """Templates format every text, so that a bare per cent sign ends the page with an error."""
    said = translations("de").gettext
    texts = {form for _, text in template_texts() for form in (text, said(text))}
    broken = [text for text in texts if "%" in re.sub(r"%\(\w+\)s|%%", "", text)]
    assert broken == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_template_wraps_its_texts(path: Path) -> None:
    """Words outside ``{{ }}`` would stay English on a German page."""
    text = path.read_text(encoding="utf-8")
    text = re.sub(r"\{% block body_class %\}.*?\{% endblock %\}", " ", text)
    text = re.sub(r"\{#.*?#\}|\{%.*?%\}|\{\{.*?\}\}", " ", text, flags=re.DOTALL)
    text = re.sub(r"<(style|script|code|kbd)\b.*?</\1>", " ", text, flags=re.DOTALL)
    said = re.findall(r'(?:placeholder|title|alt|aria-label)="([^"]*)"', text)
    text = re.sub(r"<[^>]*>", " ", text)
    text = re.sub(r"&[a-z]+;", " ", text)
    words = {word for part in (text, *said) for word in re.findall(r"[^\W\d_]{2,}", part)}
    assert words - SAME_IN_BOTH == set()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_template_translates_literals_only(path: Path) -> None:
    """``_(variable)`` would put text from elsewhere into the page unescaped; ``words()`` does not."""
    calls = re.findall(r"\b_\(\s*([^\s\"'])", path.read_text(encoding="utf-8"))
    assert calls == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TEMPLATES)))
def test_template_loads_nothing_from_elsewhere(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text)
    assert not re.search(r"\son[a-z]+=", text)
    scripts = re.findall(r"<script\b[^>]*>", text)
    assert all("src=" in tag or 'type="application/json"' in tag for tag in scripts)


def test_states_are_said_in_words() -> None:
    assert (words_of("en")("uac_vote"), words_of("de")("uac_vote")) == ("committee vote", "UAC-Votum")
    assert (words_of("en")("released"), words_of("de")("released")) == ("released", "freigegeben")
    assert words_of("de")("site track: no dataset is frozen for this study yet.") == (
        "Standort: Für diese Studie ist noch kein Datensatz eingefroren."
    )
    assert tone("released") == "good"


def test_text_from_elsewhere_is_escaped() -> None:
    template = environment("de").from_string(
        "{{ words(text) }} {{ say('“%(title)s” waits for your decision.', title=text) }}"
    )
    assert "<b>" not in template.render(text="<b>x</b>")


def test_numbers_and_times_follow_the_language() -> None:
    page = "{{ 1234.5|number(1) }} {{ 2500000|size }} {{ 0.5|span }}"
    assert environment("de").from_string(page).render() == "1.234,5 2,5 MB 12 Std."
    assert environment("en").from_string(page).render() == "1,234.5 2.5 MB 12 hr"
    shown = environment("de").from_string("{{ '2026-11-22T19:02:00+00:00'|time }}").render()
    assert re.fullmatch(r'<time datetime="[^"]+" title="[^"]+">2[23]\.11\.2026, \d\d:\d\d</time>', shown)


@pytest.mark.parametrize("status", SENTENCES)
def test_general_refusals_are_german_too(status: int) -> None:
    assert is_translated(SENTENCES[status])
