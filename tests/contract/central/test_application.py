"""The application form: kits, saving as one types, words for what is wrong, and what can be kept on paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from racoon.central.studies.kits import load_kits
from racoon.central.studies.model import missing_fields, read_definition
from racoon.domain.application import FIELDS, answered, check_application, read_answer
from racoon.domain.governance.approval import GRANTED_BY
from tests.simulated_network import Network


@pytest.mark.parametrize("code", ["combine", "pdac", "rescue"])
def test_a_kit_is_a_whole_study_that_could_be_submitted(code: str) -> None:
    definition = read_definition(load_kits()[code])
    assert missing_fields(definition) == []
    assert check_application(definition.application, definition.mode) == {}
    assert set(definition.application) <= set(FIELDS)
    assert answered(definition.application)[0] >= 14


@pytest.mark.parametrize(
    ("answers", "mode", "field"),
    [
        ({"target_cases": "many"}, "federated", "target_cases"),
        ({"target_cases": True}, "federated", "target_cases"),
        ({"start": "soon"}, "federated", "start"),
        ({"start": "2027-05-01", "end": "2027-04-30"}, "federated", "end"),
        ({"data_origin": "phantom"}, "federated", "data_origin"),
        ({"image_export": "to_pool"}, "federated", "image_export"),
        ({"image_export": "to_pool", "head_images": "yes"}, "pooled", "defacing"),
        ({"acronym": "x" * 501}, "federated", "acronym"),
        ({"background": "x" * 20_001}, "federated", "background"),
    ],
)
def test_what_is_wrong_is_said_at_its_field(answers: dict[str, object], mode: str, field: str) -> None:
    assert list(check_application(answers, mode)) == [field]


def test_right_and_unknown_answers_are_not_wrong() -> None:
    answers = {
        "target_cases": 20,
        "start": "2027-01-01",
        "end": "2027-01-01",
        "image_export": "to_pool",
        "head_images": "yes",
        "defacing": "mri_reface",
        "licence": "of an older form",
    }
    assert check_application(answers, "pooled") == {}
    assert read_answer("target_cases", " 20 ") == 20
    assert read_answer("target_cases", "twenty") == "twenty"
    assert read_answer("acronym", "20") == "20"


def from_kit(network: Network, kit: str = "combine") -> str:
    answer = network.person("pi").post(
        "/studies/kits", data={"kit": kit, "title": "Mine"}, follow_redirects=False
    )
    assert answer.status_code == 303, answer.text
    return answer.headers["location"].split("/")[2]


def test_answers_are_saved_as_typed_and_wrong_ones_are_kept_and_named(network: Network) -> None:
    study_id = from_kit(network)
    path = f"/api/studies/{study_id}/application"
    assert network.get("pi", path)["title"] == "Mine"

    def save(version: int, **answers: str) -> dict[str, object]:
        answer = network.person("pi").patch(path, json={"answers": answers, "version": version})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    state = save(1, target_cases="many", acronym="MINE")
    assert state["problems"] == {"target_cases": "A whole number from 1 to 10000000 is expected."}
    assert (state["version"], state["answers"]["target_cases"]) == (2, "many")
    refused = network.person("pi").post(
        f"/api/studies/{study_id}/transitions", json={"target": "submitted", "artefacts": {"signature": "s"}}
    )
    assert "target_cases" in refused.json()["detail"]
    state = save(2, target_cases="40", acronym="")
    assert state["problems"] == {}
    assert "acronym" not in state["answers"]
    stale = network.person("pi").patch(path, json={"answers": {"acronym": "X"}, "version": 2})
    assert (stale.status_code, stale.json()["code"]) == (409, "study.stale")
    strange = network.person("pi").patch(path, json={"answers": {"votes": "X"}, "version": 3})
    assert (strange.status_code, strange.json()["code"]) == (422, "application.field")
    assert network.person("office").patch(path, json={"answers": {}, "version": 3}).status_code == 403
    assert len(network.study(study_id)["versions"]) == 1
    network.step(study_id, "pi", "submitted", {"signature": "s"})
    study = network.study(study_id)
    assert study["versions"][-1]["hash"] == study["hash"]
    assert len(study["versions"]) == 2
    fixed = network.person("pi").patch(path, json={"answers": {"acronym": "X"}, "version": 4})
    assert (fixed.status_code, fixed.json()["code"]) == (422, "study.fixed")


def test_the_example_of_the_how_to_does_what_it_says(network: Network) -> None:
    text = (Path(__file__).parents[3] / "docs/how-to/govern-a-study.md").read_text("utf-8")
    body = json.loads(text.split("```json")[1].split("```")[0])
    study_id = from_kit(network)
    answer = network.person("pi").patch(f"/api/studies/{study_id}/application", json=body).json()
    assert (answer["problems"], answer["missing"], answer["version"]) == ({}, [], 2)
    assert answer["answers"]["target_cases"] == 40
    steps = {kind: state for state, kind in GRANTED_BY.items() if state != "conditions_met"}
    assert all(f"`{state}`" in text and f"`{kind}`" in text for kind, state in steps.items())
    assert all(f"`{code}`" in text for code in load_kits())


def test_the_form_works_without_a_script_and_what_it_says_can_be_kept(network: Network) -> None:
    study_id = from_kit(network, "pdac")
    person = network.person("pi")
    person.headers["accept-language"] = "de"
    form = {"version": "1", "acronym": "<b>MINE</b>", "end": "gestern"}
    assert person.post(f"/studies/{study_id}/application", data=form).status_code == 200
    page = person.get(f"/studies/{study_id}/application").text
    assert "Ein Datum wird als 2027-12-31 geschrieben." in page
    assert "&lt;b&gt;MINE&lt;/b&gt;" in page
    assert "<b>MINE" not in page
    paper = person.get(f"/studies/{study_id}/application/print").text
    assert "Befundungs- und Annotationsplan" in paper
    document = person.get(f"/studies/{study_id}/application.json").json()
    assert document["definition"]["application"]["image_export"] == "to_pool"
    assert "Jedes Krankenhaus entscheidet selbst" in person.get(f"/studies/{study_id}/summary").text
    assert person.post("/studies/kits", data={"kit": "none"}).status_code == 422


def test_anybody_who_is_signed_in_sees_the_table_of_permissions(network: Network) -> None:
    page = network.person("auditor").get("/permissions")
    assert page.status_code == 200
    assert "study.request_sites" in page.text
    assert "track.decide" in page.text
