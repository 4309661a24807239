"""One application, a filled form for each site: page, PDF and JSON, German and English."""

from __future__ import annotations

import io
import sys

import pytest
from pypdf import PdfReader

from racoon.central.studies.kits import load_kits
from tests.simulated_network import DEFINITION, Network

pytest.importorskip("reportlab")

WANTED = {
    **DEFINITION,
    "title": "Lebern & <b>mehr</b>",
    "application": {**DEFINITION["application"], "target_cases": 40, "methods": "Lang. " * 2500},
}


def text_of(data: bytes) -> str:
    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(data)).pages)


def test_each_site_gets_its_form_in_both_languages(network: Network) -> None:
    alpha, _bravo = network.enrol("ALPHA"), network.enrol("BRAVO")
    network.enrol("CHARLIE")
    study_id = network.study_in_site_voting(["ALPHA", "BRAVO"], WANTED)
    alpha.decide_up_to(study_id, "uac_vote")
    german = network.get("office", f"/api/studies/{study_id}/forms/ALPHA?lang=de")
    english = network.get("office", f"/api/studies/{study_id}/forms/ALPHA?lang=en")
    assert german["site"] == {"code": "ALPHA", "name": "Hospital ALPHA", "city": "Testville"}
    assert german["study"]["study_hash"] == network.study(study_id)["hash"]
    assert (german["site_state"], english["site_state"]) == ("UAC-Votum", "committee vote")
    answers = {item["field"]: item for part in german["sections"] for item in part["answers"]}
    assert answers["target_cases"]["answer"] == "40"
    assert answers["data_origin"] == {
        "field": "data_origin",
        "question": "Herkunft der Bilder",
        "answer": "synthetisch",
    }
    assert answers["measurements"]["answer"].startswith("volume 1")
    steps = {step["state"]: step for step in german["steps"]}
    assert (steps["diz_check"]["is_reached"], steps["released"]["is_reached"]) == (True, False)
    assert steps["local_ethics"]["hands_in"]
    assert steps["released"]["four_eyes"] is True
    other = network.get("office", f"/api/studies/{study_id}/forms/BRAVO?lang=en")
    assert other["site"]["name"] == "Hospital BRAVO"
    assert {step["state"] for step in other["steps"] if step["is_reached"]} == set()
    whole = network.get("office", f"/api/studies/{study_id}/forms/application?lang=en")
    assert (whole["site"], whole["steps"]) == (None, [])

    person = network.person("office")
    assert person.get(f"/api/studies/{study_id}/forms/CHARLIE").status_code == 404
    assert person.get(f"/api/studies/{study_id}/forms/ALPHA?lang=fr").status_code == 422
    assert network.person("scientist").get(f"/studies/{study_id}/forms").status_code == 200
    listed = person.get(f"/studies/{study_id}/forms").text
    assert "Hospital ALPHA" in listed
    assert "CHARLIE" not in listed


@pytest.mark.parametrize(
    ("language", "words"),
    [("de", ("Hospital ALPHA", "Herkunft der Bilder", "Datum, Unterschrift", "Nur für die Forschung.")),
     ("en", ("Hospital ALPHA", "Origin of the images", "Date, signature", "For research use only."))],
)  # fmt: skip
def test_the_pdf_holds_all_of_it_and_is_the_same_each_time(
    network: Network, language: str, words: tuple[str, ...]
) -> None:
    network.enrol("ALPHA")
    study_id = network.study_in_site_voting(["ALPHA"], WANTED)
    path = f"/api/studies/{study_id}/forms/ALPHA/pdf?lang={language}"
    answer = network.person("office").get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == f'attachment; filename="{study_id}-ALPHA-{language}.pdf"'
    assert answer.content.startswith(b"%PDF-")
    assert network.person("office").get(path).content == answer.content
    text = text_of(answer.content)
    for said in (*words, "Lebern & <b>mehr</b>", network.study(study_id)["hash"][:16]):
        assert said in text


@pytest.mark.parametrize("code", ["combine", "pdac", "rescue"])
@pytest.mark.parametrize("language", ["de", "en"])
def test_each_kit_fills_pages_and_files(network: Network, code: str, language: str) -> None:
    person = network.person("pi")
    answer = person.post("/studies/kits", data={"kit": code}, follow_redirects=False)
    study_id = answer.headers["location"].split("/")[2]
    person.headers["accept-language"] = language
    page = person.get(f"/studies/{study_id}/forms/application")
    assert page.status_code == 200
    title = load_kits()[code]["title"]
    assert title.split("&")[0] in page.text
    assert person.get(f"/api/studies/{study_id}/forms/application/pdf").content.startswith(b"%PDF-")
    assert person.get(f"/studies/{study_id}/summary").status_code == 200


def test_without_the_library_it_says_what_to_do(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "reportlab"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "reportlab", None)
    study = network.post("pi", "/api/studies", {"definition": DEFINITION})
    answer = network.person("pi").get(f"/api/studies/{study['study_id']}/forms/application/pdf")
    assert (answer.status_code, answer.json()["code"]) == (501, "web.pdf_missing")
