"""Every shipped template has codes, is filled to the last question, signed, filed, and read in two languages."""

from __future__ import annotations

import io
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import highdicom as hd
import pytest
from pydicom.sr._concepts_dict import concepts as STANDARD  # noqa: N812 - a table

from racoon.domain.questionnaire import Coding, Item, items_of
from racoon.node.reading.reports.catalogue import newest_template, shipped, shipped_document, templates
from racoon.node.reading.reports.in_sr import SCHEMES, items_from
from racoon.node.reading.reports.published import signed_on
from racoon.node.reading.reports.table import items_of_rows, rows_of
from racoon.standards.dicom.structured_form import read_form
from tests.dicom_objects import uid
from tests.unit.node.reading.test_findings_and_reports import REPORT, Node, node

__all__ = ["node"]

URLS = sorted({template.url for template in shipped().values()})
OWN = "urn:racoon:codes"
OPEN_SYSTEMS = {"http://snomed.info/sct", "http://loinc.org", "http://radlex.org"}

FITTING = {"outcome": 0, "pcr": 0}
"""Questions whose last option contradicts another answer, and the option that does not."""

USUAL = {
    "temperature": 37.5, "heart-rate": 72, "respiratory-rate": 14, "saturation": 97, "systolic": 120,
    "diastolic": 80, "crp": 5.0, "leukocytes": 6.5, "creatinine": 0.9,
}  # fmt: skip
"""Numbers whose largest possible value raises a query."""


def an_answer(item: Item) -> list[dict[str, Any]]:
    """Return an answer that the question takes: the last option, the largest number, words."""
    most = USUAL.get(item.link_id, item.maximum if item.maximum is not None else 1.0)
    if item.kind == "choice":
        coding = item.options[FITTING.get(item.link_id, -1)].coding
        return [{"valueCoding": {"system": coding.system, "code": coding.code}}]
    values: dict[str, dict[str, Any]] = {
        "boolean": {"valueBoolean": True},
        "integer": {"valueInteger": int(most)},
        "decimal": {"valueDecimal": most},
        "date": {"valueDate": "2023-05-01"},
    }
    return [values.get(item.kind, {"valueString": "Äußerst selten."})]


def everything(asked: Sequence[Item]) -> list[dict[str, Any]]:
    """Answer every question, each repeated group once."""
    found = []
    for item in asked:
        if item.kind == "group":
            found.append({"linkId": item.link_id, "item": everything(item.items)})
        elif item.is_question and not item.sum_of:
            found.append({"linkId": item.link_id, "answer": an_answer(item)})
    return found


@pytest.mark.parametrize("url", URLS)
def test_a_template_has_codes_that_others_know(url: str) -> None:
    form = newest_template(url)
    asked = [item for item in form.walk() if item.is_question]
    coded = [item for item in asked if any(code.system in OPEN_SYSTEMS for code in item.codes)]
    options = [option.coding for item in asked for option in item.options]
    assert len(coded) >= 3, [item.link_id for item in asked]
    assert any(coding.system in OPEN_SYSTEMS for coding in options)
    assert all(coding.system and coding.code for coding in options)
    units = [item.unit for item in asked if item.unit]
    assert all(unit == Coding("http://unitsofmeasure.org", unit.code, unit.display) for unit in units)


@pytest.mark.parametrize("url", URLS)
def test_every_question_of_the_newest_version_has_a_code_of_its_own(url: str) -> None:
    asked = [item for item in newest_template(url).walk() if item.is_question]
    assert [item.link_id for item in asked if not item.codes] == []
    first = Counter(item.codes[0].key for item in asked)
    assert [key for key, number in first.items() if number > 1] == [], "rows take the first code"
    # As DICOM's Code Value (0008,0100) holds them.
    assert all(len(code.code) <= 16 for item in asked for code in item.codes)


def test_codes_of_questions_are_of_the_standard_or_our_own() -> None:
    """DICOM PS3.16 lists SNOMED CT, LOINC and its own; what a version added beyond it would be somebody's word."""
    added, own = [], defaultdict(set)
    for url in URLS:
        before = {item.link_id: set(item.codes) for item in shipped()[f"{url}|1"].walk()}
        for item in newest_template(url).walk():
            added += [code for code in item.codes if code not in before[item.link_id]]
    for coding in added:
        if coding.system == OWN:
            own[coding.code].add(coding.display)
            continue
        listed = STANDARD[SCHEMES[coding.system]]
        meanings = {
            meaning
            for found in listed.values()
            for code, (meaning, _) in found.items()
            if code == coding.code
        }
        assert coding.display.lower() in {meaning.lower() for meaning in meanings}, coding
    assert {code: words for code, words in own.items() if len(words) > 1} == {}
    assert len(added) > 80


@pytest.mark.parametrize("url", URLS)
def test_a_new_version_of_a_template_changes_nothing_but_codes(url: str) -> None:
    def bare(version: str) -> Any:
        def without(value: Any) -> Any:
            if isinstance(value, list):
                return [without(item) for item in value]
            if isinstance(value, dict):
                gone = {"code"} if "linkId" in value else set()
                return {name: without(inner) for name, inner in value.items() if name not in gone}
            return value

        return without(shipped_document(url, version) | {"version": ""})

    assert bare("1") == bare("2")
    document = shipped_document(url, "2")
    assert (document["status"], document["experimental"]) == ("draft", True)


def test_what_the_issue_names_is_shipped() -> None:
    names = {url.rpartition(":")[2] for url in URLS}
    assert {"thorax-covid", "neuro", "cardio", "thorax-child", "gecco-short"} <= names
    covid = newest_template("urn:racoon:questionnaire:thorax-covid")
    (total,) = [item for item in covid.walk() if item.sum_of]
    scores = [item for item in covid.walk() if item.link_id in total.sum_of]
    assert [(item.minimum, item.maximum) for item in scores] == [(0, 5)] * 5
    assert "CC BY 4.0" in covid.credit
    gecco = newest_template("urn:racoon:questionnaire:gecco-short")
    assert any(item.checks for item in gecco.walk())


@pytest.mark.parametrize("url", URLS)
def test_a_template_is_filled_signed_filed_and_read(node: Node, url: str) -> None:
    form = newest_template(url)
    client = node.as_("ada")
    saved = client.put(f"{REPORT}?template={url}&based_on=0", json=everything(form.items))
    assert saved.status_code == 200, saved.text
    state = saved.json()
    assert state["problems"] == []
    for doubt in state["doubts"]:
        pytest.fail(f"{doubt['path']}: {doubt['message']}")
    done = client.post(f"{REPORT}/sign?template={url}&based_on=1")
    assert done.status_code == 200, done.text
    # The SR, the rows and the response say the same, to the last answer.
    response = client.get(f"{REPORT}/questionnaire-response?template={url}").json()
    items = items_of(form, response["item"])
    (filed,) = client.get(f"{REPORT}/versions?template={url}").json()["versions"]
    archive: Any = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    report = hd.sr.srread(io.BytesIO(archive.read_object(archive.instance(filed["sr_instance"]))))
    assert items_from(form, read_form(report)) == items
    with node.database.connect() as connection:
        (version,) = [
            item
            for item in signed_on(connection, [uid(1)])
            if item.response["questionnaire"] == form.canonical
        ]
        rows = list(rows_of(version, templates(connection), list_name="", duty=""))
    assert items_of_rows(form, rows) == items
    for language, mark in (("de", "Nur für die Forschung"), ("en", "For research use only")):
        headers = {"Accept": "text/html", "Accept-Language": language}
        page = client.get(f"{REPORT}/document?template={url}", headers=headers).text
        assert mark in page
        assert form.words.in_language(language) in page
        paper = client.get(f"{REPORT}/document.pdf?template={url}&language={language}")
        assert paper.content.startswith(b"%PDF"), paper.text
