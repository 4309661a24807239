"""Templates written at a node: preview, import, signatures of experts, release; version 2 leaves version 1 alone."""

from __future__ import annotations

import json
import random
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from racoon.domain.questionnaire import template_of
from racoon.node.reading.reports.catalogue import shipped
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, node

__all__ = ["node"]

URL = "urn:racoon:questionnaire:hand"
ROOT = "/api/reading/templates"
THORAX = "urn:racoon:questionnaire:thorax-short"


def choice(link_id: str, *codes: str, **more: Any) -> dict[str, Any]:
    options = [{"valueCoding": {"system": "urn:t", "code": code, "display": code.upper()}} for code in codes]
    return {"linkId": link_id, "type": "choice", "text": link_id.title(), "answerOption": options, **more}


def questionnaire(version: str, *items: dict[str, Any]) -> str:
    document = {
        "resourceType": "Questionnaire",
        "url": URL,
        "version": version,
        "title": "Hand",
        "item": list(items),
    }
    return json.dumps(document)


FIRST = (
    {"linkId": "g", "type": "group", "text": "Bones", "item": [choice("side", "l", "r", required=True)]},
    {"linkId": "size", "type": "decimal", "text": "Size"},
    {"linkId": "words", "type": "string", "text": "Words"},
)


def release(node: Node, version: str, *items: dict[str, Any]) -> None:
    saved = node.as_("eve").put(ROOT, json={"text": questionnaire(version, *items), "based_on": 0})
    assert saved.status_code == 200, saved.text
    body = {"url": URL, "version": version, "sha256": saved.json()["sha256"]}
    for name, level in (("ada", "signed by one expert"), ("ben", "released by an expert group")):
        assert node.as_(name).post(f"{ROOT}/sign", json=body).json()["level"] == level


def test_a_draft_is_signed_by_others_than_its_author_and_stays_when_released(node: Node) -> None:
    ada = node.as_("ada")
    wrong = ada.put(
        ROOT, json={"text": questionnaire("1", {"linkId": "a", "type": "quantity"}), "based_on": 0}
    )
    assert wrong.json()["code"] == "reading.bad_template"
    assert "Item a" in wrong.json()["detail"]
    assert ada.put(ROOT, json={"text": "{", "based_on": 0}).json()["code"] == "reading.unreadable_template"
    text = questionnaire("9", *FIRST)
    saved = ada.put(ROOT, json={"text": text, "based_on": 0}).json()
    assert (saved["level"], saved["authors"]) == ("draft", ["ada"])
    body = {"url": URL, "version": "9", "sha256": saved["sha256"]}
    assert ada.post(f"{ROOT}/sign", json=body).json()["code"] == "reading.not_an_expert"
    assert node.as_("eve").post(f"{ROOT}/sign", json=body).status_code == 403
    ben = node.as_("ben")
    assert ben.post(f"{ROOT}/sign", json=body | {"sha256": "0"}).json()["code"] == "reading.template_changed"
    assert ben.post(f"{ROOT}/sign", json=body).json()["level"] == "signed by one expert"
    assert ben.post(f"{ROOT}/sign", json=body).json()["code"] == "reading.not_an_expert"
    # A change takes the signatures away, and an old state cannot be saved over a new one.
    ada = node.as_("ada")
    assert ada.put(ROOT, json={"text": text, "based_on": 0}).json()["code"] == "reading.template_changed"
    assert ada.put(ROOT, json={"text": text, "based_on": 1}).json()["signatures"] == []
    # A draft is no template to report with.
    report = f"/api/reading/imaging-studies/{uid(1)}/report?template={URL}"
    assert ada.get(report).status_code == 404
    (ours, *_) = shipped().values()
    mine = json.dumps({"resourceType": "Questionnaire", "url": ours.url, "version": ours.version, "item": []})
    assert ada.put(ROOT, json={"text": mine, "based_on": 0}).json()["code"] == "reading.template_is_fixed"
    assert node.audited("template.sign") == 1


def test_version_2_never_corrupts_answers_of_version_1(node: Node) -> None:
    archive: Any = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    for study in (95, 96):
        archive.store([deidentified(item) for item in ct_series(np.zeros((1, 4, 4), np.int16), study=study)])
    release(node, "1", *FIRST)
    ada = node.as_("ada")
    signed, begun = (f"/api/reading/imaging-studies/{uid(study)}/report" for study in (95, 96))
    items = [
        {
            "linkId": "g",
            "item": [{"linkId": "side", "answer": [{"valueCoding": {"system": "urn:t", "code": "r"}}]}],
        },
        {"linkId": "size", "answer": [{"valueDecimal": 7.25}]},
        {"linkId": "words", "answer": [{"valueString": "first"}]},
    ]
    for report in (signed, begun):
        saved = ada.put(f"{report}?template={URL}&based_on=0", json=items)
        assert saved.status_code == 200, saved.text
    assert ada.post(f"{signed}/sign?template={URL}&based_on=1").status_code == 200

    def state() -> tuple[Any, ...]:
        client = node.as_("ada")
        response = client.get(f"{signed}/questionnaire-response?template={URL}").json()
        page = client.get(f"{signed}/document?template={URL}", headers={"Accept": "text/html"}).text
        paper = page[page.index("<article") : page.index("</article")]
        draft = client.get(f"{begun}?template={URL}").json()
        return (
            response,
            client.get(f"{signed}/versions?template={URL}").json(),
            paper,
            draft["items"],
            draft["form"],
        )

    before = state()
    numbers = iter(range(2, 100))

    @settings(max_examples=4)
    @given(st.integers(0, 2**32))
    def stays(seed: int) -> None:
        """Whatever happens to questions in a later version: other types, other answers, gone, renamed, required."""
        draw = random.Random(seed)
        kinds = ["integer", "boolean", "text", "date"]
        changed: list[dict[str, Any]] = [
            {"linkId": "new", "type": "boolean", "text": "New", "required": True}
        ]
        changed += [
            {"linkId": link_id, "type": draw.choice(kinds), "text": f"Other {seed}"}
            for link_id in ("side", "size", "words", "g")
            if draw.random() < 0.7
        ]
        release(node, str(next(numbers)), *changed)
        assert state() == before

    stays()
    fresh = node.as_("ben").get(f"{begun}?template={URL}").json()
    assert fresh["form"]["canonical"] == f"{URL}|{next(numbers) - 1}"
    # The report begun with version 1 is finished with version 1.
    assert node.as_("ada").post(f"{begun}/sign?template={URL}&based_on=1").status_code == 200


def test_a_group_releases_a_shipped_template_and_reports_say_what_it_was_when_they_were_signed(
    node: Node,
) -> None:
    canonical = max(name for name in shipped() if name.startswith(f"{THORAX}|"))
    key = dict(zip(("url", "version"), canonical.split("|"), strict=True))
    html = {"Accept": "text/html"}

    def level() -> str:
        listed = node.as_("eve").get(ROOT).json()["templates"]
        (found,) = [item for item in listed if (item["url"], item["version"]) == tuple(key.values())]
        assert found["shipped"]
        return str(found["level"])

    def paper(study: int) -> str:
        report = f"/api/reading/imaging-studies/{uid(study)}/report"
        answer = node.as_("ada").get(f"{report}/document?template={THORAX}", headers=html)
        assert answer.status_code == 200, answer.text
        return answer.text

    def sign_report(study: int) -> None:
        ada = node.as_("ada")
        report = f"/api/reading/imaging-studies/{uid(study)}/report"
        answer = ada.post(f"{report}/normal?template={THORAX}&based_on=0")
        assert answer.status_code == 200, answer.text
        signed = ada.post(f"{report}/sign?template={THORAX}&based_on={answer.json()['revision']}")
        assert signed.status_code == 200, signed.text

    archive: Any = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    for study in (95, 96):
        archive.store([deidentified(item) for item in ct_series(np.zeros((1, 4, 4), np.int16), study=study)])
    assert level() == "draft"
    before = node.audited("template.release")
    sign_report(95)
    assert "draft" in paper(95)
    text = node.as_("ada").get(f"{ROOT}/text", params=key).json()
    assert (text["state"], text["authors"], text["signatures"]) == ("draft", [], [])
    body = key | {"sha256": text["sha256"]}
    sign = f"{ROOT}/sign"
    assert (
        node.as_("ada").post(sign, json=body | {"sha256": "0"}).json()["code"] == "reading.template_changed"
    )
    assert node.as_("eve").post(sign, json=body).status_code == 403
    editor = node.as_("ada").get("/reading/templates/edit", params=key, headers=html).text
    assert 'id="sign"' in editor
    assert "readonly" in editor
    assert 'id="save"' not in editor
    assert node.as_("ada").post(sign, json=body).json()["level"] == "signed by one expert"
    assert level() == "signed by one expert"
    assert node.as_("ada").post(sign, json=body).json()["code"] == "reading.not_an_expert"
    assert 'id="sign"' not in node.as_("ada").get("/reading/templates/edit", params=key, headers=html).text
    assert node.as_("ben").post(sign, json=body).json()["level"] == "released by an expert group"
    assert level() == "released by an expert group"
    assert node.as_("ben").post(sign, json=body).json()["code"] == "reading.template_is_fixed"
    assert node.audited("template.release") == before + 1
    # What is signed from now on says so; what was signed before says what the template was then.
    sign_report(96)
    assert "released by an expert group" in paper(96)
    assert "released by an expert group" not in paper(95)
    assert node.as_("eve").get(f"{ROOT}/text", params={"url": THORAX, "version": "99"}).status_code == 404


def test_preview_import_and_pages(node: Node) -> None:
    eve = node.as_("eve")
    text = questionnaire("1", {"linkId": "n", "type": "integer", "text": "N", "required": True})
    seen = eve.post(f"{ROOT}/preview", json={"text": text}).json()
    assert [problem["code"] for problem in seen["problems"]] == ["required"]
    answered = {"text": text, "items": [{"linkId": "n", "answer": [{"valueInteger": 1}]}]}
    assert eve.post(f"{ROOT}/preview", json=answered).json()["problems"] == []
    halfway = eve.post(f"{ROOT}/preview", json={"text": text[:-1]}).json()
    assert (halfway["code"], halfway["line"]) == ("reading.unreadable_template", 1)
    unknown = {"text": text, "items": [{"linkId": "gone", "answer": []}]}
    assert eve.post(f"{ROOT}/preview", json=unknown).json()["code"] == "reading.bad_answers"
    page = '<body><label for="a">A</label><input id="a" name="a"><script>x()</script></body>'
    imported = eve.post(
        f"{ROOT}/import", json={"text": page, "name": "foreign"}, headers={"Accept-Language": "de"}
    )
    found = imported.json()
    assert [note["code"] for note in found["report"] if note["loss"]] == ["active"]
    assert "Skripte" in found["report"][0]["words"]
    assert template_of(json.loads(found["text"])).items[0].words.text == "A"
    again = eve.post(f"{ROOT}/import", json={"text": page, "name": "foreign"}).json()
    assert (found["version"], again["version"]) == ("1", "2")
    listed = eve.get("/reading/templates", headers={"Accept": "text/html", "Accept-Language": "de"}).text
    assert "urn:racoon:questionnaire:thorax-short" in listed
    editor = f"/reading/templates/edit?url={found['url']}&version=1"
    assert "x()" not in eve.get(editor, headers={"Accept": "text/html"}).text
    copied = eve.get(f"/reading/templates/edit?url={THORAX}&version=1&copy=true").text
    assert "Chest CT (short)" in copied
    assert "readonly" not in copied
    assert node.as_("dan").get("/reading/templates").status_code == 403
