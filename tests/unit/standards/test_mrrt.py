"""IHE MRRT templates become Questionnaires; what is active or cannot be carried is listed and never run."""

from __future__ import annotations

from pathlib import Path

import pytest

from racoon.domain.questionnaire import BadTemplate, Template, template_of
from racoon.domain.questionnaire.normalising import NOTES
from racoon.standards.mrrt import read_mrrt

PAGE = """<!DOCTYPE html><html><head><title>T</title>
<meta name="dcterms.title" content="Knee"><meta name="dcterms.rights" content="CC BY 4.0">
<script type="text/xml"><template_attributes><coded_content>
 <entry ORIGTXT="side"><term><code meaning="Side" value="RID5821" scheme="RADLEX"/></term></entry>
</coded_content></template_attributes></script>
<script>fetch("https://elsewhere.example")</script>
</head><body onload="alert(1)">
<section data-section-name="Findings"><header class="level1">Befund</header>
 free words
 <label for="side">Seite</label>
 <select name="side" id="side"><option>links</option><option selected>rechts</option></select>
 <label for="size">Größe</label>
 <input type="number" id="size" name="size" min="0" max="90" data-field-units="mm" required>
 <label for="n">Anzahl</label><input type="number" id="n" name="n" step="1" value="2">
 <table><tr><th>Menisken</th><td><label for="a">ja</label><input type="radio" name="tear" id="a" value="y">
   <label for="b">nein</label><input type="radio" name="tear" id="b" value="n" checked></td></tr></table>
 <section data-section-name="Note"><header>Anmerkung</header><textarea id="text" name="text"></textarea></section>
 <input type="file" id="upload"><iframe src="https://elsewhere.example"></iframe>
</section></body></html>"""


def questions(form: Template) -> dict[str, str]:
    return {item.words.text: item.kind for item in form.walk() if item.is_question}


def test_controls_become_questions_and_the_rest_is_listed() -> None:
    found = read_mrrt(PAGE.encode(), "knee")
    form = template_of(found.document)
    assert (form.words.text, form.credit) == ("Knee", "CC BY 4.0")
    items = {item.link_id: item for item in form.walk()}
    assert [item.words.text for item in form.items] == ["Befund"]
    side, size, number = items["side"], items["size"], items["n"]
    assert [option.words.text for option in side.options] == ["links", "rechts"]
    assert side.initial[0] == side.options[1].coding
    assert side.codes[0].key == ("http://radlex.org", "RID5821")
    assert (size.kind, size.minimum, size.maximum, size.is_required) == ("decimal", 0, 90, True)
    assert size.unit is not None
    assert size.unit.code == "mm"
    assert (number.kind, number.initial) == ("integer", (2,))
    tear = items["tear"]
    assert [option.words.text for option in tear.options] == ["ja", "nein"]
    assert tear.initial == (tear.options[1].coding,)
    assert [item.words.text for item in form.walk() if item.kind == "group"] == [
        "Befund",
        "Menisken",
        "Anmerkung",
    ]
    assert items["text"].kind == "text"
    lost = {(note.code, note.detail) for note in found.notes if note.is_loss}
    assert {
        ("active", "script"),
        ("active", "body onload"),
        ("active", "iframe https://elsewhere.example"),
        ("control", "input file"),
        ("free_words", "free words"),
    } <= lost
    assert {note.code for note in found.notes} <= set(NOTES)
    assert "elsewhere" not in str(found.document)


@pytest.mark.parametrize(
    "wrong",
    [
        b"",
        b"\xff\xfe",
        b"<p>nothing to ask</p>",
        b"<div>" * 100 + b"<input id=a>",
        b"<input id=a>" + b" " * (2 << 20),
    ],
)
def test_what_is_no_template_is_refused(wrong: bytes) -> None:
    with pytest.raises(BadTemplate):
        read_mrrt(wrong, "x")


def test_entities_are_not_expanded() -> None:
    bomb = (
        '<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><template_attributes>&c;</template_attributes>'
    )
    page = (
        f'<body><script type="text/xml">{bomb}</script><label for="a">A</label><input id="a" name="a"></body>'
    )
    found = read_mrrt(page.encode(), "x")
    assert "template_attributes with a document type" in [note.detail for note in found.notes]
    assert questions(template_of(found.document)) == {"A": "string"}


def test_the_published_covid_template_is_read(shared_data: Path) -> None:
    (path,) = (shared_data.parent / "fhir" / "drg-templates" / "mrrt").glob("*covid19.html")
    found = read_mrrt(path.read_bytes(), "ct_covid19_mrrt")
    form = template_of(found.document)
    asked = questions(form)
    assert len([item for item in form.walk() if item.is_question]) == 28
    assert asked["Milchglastrübung"] == "choice"
    assert asked["am:"] == "date"
    groups = [item.words.text for item in form.walk() if item.kind == "group"]
    assert "Lungenparenchym/Atemwege" in groups
    assert "Creative Commons" in form.credit
