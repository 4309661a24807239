"""Templates of the German Röntgen Society, unchanged: normalised with a report, filled, and round without loss."""

from __future__ import annotations

import datetime as dt
import io
import json
import random
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from racoon.domain.questionnaire import (
    Answer,
    Answered,
    BadTemplate,
    Item,
    Normalised,
    Template,
    evaluate,
    items_of,
    items_to_fhir,
    normalised,
    template_of,
)
from racoon.domain.questionnaire.normalising import NOTES
from racoon.node.reading.reports.catalogue import templates
from racoon.node.reading.reports.in_sr import entries_of, items_from
from racoon.node.reading.reports.model import ReportVersion
from racoon.node.reading.reports.table import items_of_rows, rows_of
from racoon.platform import clock
from racoon.standards.dicom.structured_form import read_form
from racoon.standards.dicom.structured_report import build_report
from tests.dicom_objects import ct_series, deidentified

QUESTIONS = {
    "ct_covid19": 26,
    "ct_khk": 47,
    "ct-tavi": 34,
    "ct_stroke_nativ": 70,
    "mrt_myokarditis": 53,
    "us_carotis": 30,
    "gen_recist11": 42,
}
"""Questions of each published template that are carried: all of them."""


def published(folder: Path, name: str) -> dict[str, Any]:
    (path,) = (folder / "drg-templates" / "fhir").glob(f"*{name}.json")
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def load(folder: Path, name: str) -> tuple[Normalised, Template]:
    found = normalised(published(folder, name), name)
    return found, template_of(found.document)


LETTERS = "aZ09 äßé<>&=+-'\"\\;,/|^µ±≤—漢😀"
"""Of texts that people write: what escapes somewhere is among them."""


def answer(item: Item, draw: random.Random) -> Answer:
    value: Any
    if item.kind == "boolean":
        value = draw.random() < 0.5
    elif item.kind == "integer":
        value = draw.randint(-(10**9), 10**9)
    elif item.kind == "decimal":
        value = draw.uniform(-1e12, 1e12) * 10.0 ** draw.randint(-20, 0)
    elif item.kind == "date":
        value = dt.date.fromordinal(draw.randint(365_000, 3_000_000)).isoformat()
    elif item.kind == "choice":
        value = draw.choice(item.options).coding
    else:
        value = "".join(draw.choices(LETTERS, k=draw.randint(0, 60))).strip() + "."
    finding = str(uuid.UUID(int=draw.getrandbits(128))) if item.from_finding else ""
    return Answer(value, finding, draw.choice(["", "automatic", "assisted"]))


def fill(items: tuple[Item, ...], draw: random.Random) -> list[Answered]:
    found = []
    for item in items:
        if item.is_question and not item.sum_of:
            found.append(Answered(item.link_id, (answer(item, draw),)))
        elif item.kind == "group":
            number = draw.randint(1, 2) if item.repeats else 1
            found += [Answered(item.link_id, items=tuple(fill(item.items, draw))) for _ in range(number)]
    return found


def round_trips(form: Template, items: tuple[Answered, ...]) -> None:
    assert items_of(form, json.loads(json.dumps(items_to_fhir(form, items)))) == items
    source = pydicom.dcmread(io.BytesIO(deidentified(ct_series(np.zeros((1, 4, 4), np.int16))[0]).bytes))
    sr = build_report(
        {str(source.SOPInstanceUID): source},
        [],
        [],
        report=str(uuid.UUID(int=1)),
        version=1,
        software="0",
        form=entries_of(form, items),
    )
    buffer = io.BytesIO()
    sr.save_as(buffer, enforce_file_format=True)
    buffer.seek(0)
    assert items_from(form, read_form(pydicom.dcmread(buffer))) == items


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_published_template_loads_unchanged_with_every_question(shared_data: Path, name: str) -> None:
    found, form = load(shared_data.parent / "fhir", name)
    assert sum(item.is_question for item in form.walk()) == QUESTIONS[name]
    assert found.notes
    assert {note.code for note in found.notes} <= set(NOTES)
    # Every item that was changed can be found, and normalising again changes nothing.
    places = {item.link_id for item in form.walk()} | {""}
    assert {note.place for note in found.notes} <= places
    assert normalised(found.document, name).document == found.document
    assert normalised(found.document, name).notes == ()


def test_the_covid_template_goes_round_without_loss(shared_data: Path) -> None:
    _, form = load(shared_data.parent / "fhir", "ct_covid19")

    for seed in range(3):
        items = evaluate(form, fill(form.items, random.Random(seed))).items
        assert len(items) == len(form.items)
        round_trips(form, items)
    empty = evaluate(form, ())
    assert {problem.code for problem in empty.problems} == {"required"}
    assert "7863071815507" in {problem.path for problem in empty.problems}


@pytest.mark.parametrize("canonical", sorted(templates()))
def test_shipped_templates_go_round_without_loss(canonical: str) -> None:
    form = templates()[canonical]
    items = evaluate(form, fill(form.items, random.Random(canonical))).items
    round_trips(form, items)
    version = ReportVersion(
        report_id=str(uuid.UUID(int=1)),
        version=1,
        kind="signed",
        text="",
        response={"questionnaire": canonical, "item": items_to_fhir(form, items)},
        sha256="0" * 64,
        pseudonym="SUBJ-1",
        imaging_study_uid="1.2",
        author="ada",
        signed_at=clock.now(),
    )
    assert items_of_rows(form, rows_of(version, templates(), list_name="", duty="read")) == items


def test_what_cannot_be_carried_is_said() -> None:
    def note_codes(*items: dict[str, Any]) -> dict[str, tuple[str, bool]]:
        found = normalised({"resourceType": "Questionnaire", "item": list(items)}, "x")
        return {note.place: (note.code, note.is_loss) for note in found.notes if note.place}

    assert note_codes({"linkId": "a", "type": "attachment", "text": "File"}) == {"a": ("type", True)}
    assert note_codes({"linkId": "a", "type": "string", "text": "A", "repeats": True}) == {
        "a": ("repeats", True)
    }
    assert note_codes(
        {"linkId": "a", "type": "integer", "text": "A", "initial": [{"valueInteger": "x"}]}
    ) == {"a": ("initial", True)}
    asked = {"question": "gone", "operator": "=", "answerBoolean": True}
    assert note_codes({"linkId": "a", "type": "string", "text": "A", "enableWhen": [asked]}) == {
        "a": ("condition", True)
    }
    # Words that look alike as a code stay two answers.
    options = [{"valueCoding": {"display": text}} for text in ("≤ 1 cm", "> 1 cm", "-")]
    found = normalised(
        {"resourceType": "Questionnaire", "item": [{"text": "E", "type": "choice", "answerOption": options}]},
        "x",
    )
    (item,) = template_of(found.document).items
    assert [option.words.text for option in item.options] == ["≤ 1 cm", "> 1 cm"]
    assert len({option.coding.key for option in item.options}) == 2
    with pytest.raises(BadTemplate):
        normalised({"resourceType": "Patient"}, "x")
    with pytest.raises(BadTemplate):
        normalised({"resourceType": "Questionnaire", "item": []}, "x")
