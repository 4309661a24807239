"""Automatic values as proposed answers: offered by a protocol, decided by a reader, their level in what is signed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from racoon.domain.identity import Pseudonym
from racoon.domain.questionnaire import Answer, Coding
from racoon.domain.reading_protocol import BadProtocol, ProposalRule
from racoon.node.measuring import _store as measured
from racoon.node.measuring.http import router as measuring_router
from racoon.node.measuring.model import StoredValue
from racoon.node.reading.proposals.model import answer_of, path_of
from racoon.node.reading.protocols.service import read_protocol
from racoon.node.reading.reports.catalogue import newest_template
from racoon.platform import clock
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, node

__all__ = ["node"]

STUDIES = (81, 82)
REPORT = f"/api/reading/imaging-studies/{uid(81)}/report"
PROTOCOL = """
name: prefilled
version: 1
template: urn:racoon:questionnaire:thorax-short
blinding: {readers: false}
proposals:
  - question: emphysema
    biomarker: laa_950
    answers: [{from: 0, answer: "272519000"}, {from: 5, answer: "255604002"}]
  - question: opacities-present
    biomarker: ggo_percent
    answers: [{from: 0, answer: false}, {from: 1, answer: true}]
  - {question: node-size, biomarker: effusion_volume}
"""


def value(study: int, biomarker: str, number: float, **more: Any) -> StoredValue:
    fields = {
        "study_id": "PROJ-1",
        "dataset_hash": "a" * 64,
        "series_uid": uid(study, 1),
        "pseudonym": Pseudonym("SUBJ-1"),
        "measurement": f"{biomarker}@1",
        "biomarker": biomarker,
        "version": "1",
        "label": None,
        "parameters_hash": "b" * 64,
        "value": number,
        "unit": "%",
        "valid": True,
        "reason": "",
        "parameters": {},
        "masks": (),
        "automation": "automatic",
        "key_instance_uid": uid(study, 1, 2),
        "key_frame": 1,
        "key_slice": 1,
        "software": "racoon test",
        "computed_at": clock.now(),
    }
    return StoredValue(**fields | more)


@pytest.fixture(scope="module")
def prefilled(node: Node) -> Node:
    state: Any = node.client.app.state  # type: ignore[attr-defined] # a FastAPI application
    for study in STUDIES:
        slices = ct_series(np.zeros((3, 6, 6), np.int16), study=study, SeriesDescription="Lung")
        state.archive.store([deidentified(item) for item in slices])
        values = [
            value(study, "laa_950", 7.5),
            value(study, "ggo_percent", 0.2),
            value(study, "effusion_volume", 12.0, valid=False, reason="no_mask"),
        ]
        with node.database.begin() as connection:
            measured.save_series(connection, values, [], ("PROJ-1", "a" * 64, uid(study, 1)))
    state.series_of_study = lambda _study: [uid(study, 1) for study in STUDIES]
    eve = node.as_("eve")
    assert eve.post("/api/reading/protocols", json={"document": PROTOCOL}).status_code == 200
    wanted = {"protocol": "prefilled|1", "study": "PROJ-1", "readers": ["ada"]}
    assert eve.post("/api/reading/worklists/prefilled/from-protocol", json=wanted).json()["added"] == 2
    return node


def test_a_proposal_is_no_answer_until_a_person_says_so(prefilled: Node) -> None:
    ada = prefilled.as_("ada")
    offered = ada.get(f"{REPORT}/proposals", headers={"Accept-Language": "de"}).json()["proposals"]
    found = {item["path"]: item for item in offered}
    # The invalid value proposes nothing.
    assert set(found) == {"lungs/emphysema", "lungs/opacities-present"}
    emphysema = found["lungs/emphysema"]
    assert emphysema["answer"]["valueCoding"]["code"] == "255604002"
    assert emphysema["source"]["value"] == 7.5
    assert emphysema["source"]["link"].startswith(f"/reading/series/{uid(81, 1)}?instance={uid(81, 1, 2)}")
    assert ada.get(REPORT).json()["items"] == []
    # Whatever level of automation a client claims, it is not believed.
    claimed = {"url": "urn:racoon:fhir:answer-automation", "valueCode": "automatic"}
    answers = {
        "lungs": [
            {"linkId": "emphysema", "answer": [emphysema["answer"]]},
            {"linkId": "opacities-present", "answer": [{"valueBoolean": False, "extension": [claimed]}]},
        ]
    }
    items = [{"linkId": key, "item": inside} for key, inside in answers.items()]
    saved = ada.put(f"{REPORT}?based_on=0", json=items).json()
    assert "answer-automation" not in str(saved["items"])
    filled = ada.post(f"{REPORT}/normal?based_on={saved['revision']}").json()
    early = ada.post(f"{REPORT}/sign?based_on={filled['revision']}")
    assert early.json()["code"] == "reading.undecided_proposals"
    assert ada.post(f"{REPORT}/proposals?path=lungs/emphysema&accept=true").status_code == 200
    assert ada.post(f"{REPORT}/proposals?path=lungs/opacities-present&accept=false").status_code == 200
    assert ada.post(f"{REPORT}/proposals?path=lungs/none&accept=true").status_code == 404
    signed = ada.post(f"{REPORT}/sign?based_on={filled['revision']}")
    assert signed.status_code == 200, signed.text
    response = ada.get(f"{REPORT}/questionnaire-response").json()
    lungs = next(item for item in response["item"] if item["linkId"] == "lungs")
    levels = {
        item["linkId"]: item["answer"][0].get("extension", [{}])[0].get("valueCode", "manual")
        for item in lungs["item"]
        if "answer" in item
    }
    assert levels["emphysema"] == "automatic"
    assert levels["opacities-present"] == "assisted"
    assert levels["nodules-present"] == "manual"
    page = ada.get(f"{REPORT}/document", headers={"Accept": "text/html", "Accept-Language": "de"}).text
    assert page.count('<span class="tag">') == 2


def test_a_changed_answer_is_assisted(prefilled: Node) -> None:
    ada = prefilled.as_("ada")
    report = f"/api/reading/imaging-studies/{uid(82)}/report"
    for found in ada.get(f"{report}/proposals").json()["proposals"]:
        assert ada.post(f"{report}/proposals?path={found['path']}&accept=true").status_code == 200
    # A normal case has no emphysema: that is not what was accepted.
    filled = ada.post(f"{report}/normal?based_on=0").json()
    assert ada.post(f"{report}/sign?based_on={filled['revision']}").status_code == 200
    response = str(ada.get(f"{report}/questionnaire-response").json())
    assert response.count("'valueCode': 'assisted'") == response.count("'valueCode': 'automatic'") == 1
    other = prefilled.as_("ben").get(f"{report}/proposals").json()
    assert other == {"proposals": []}


def test_a_reader_blinded_to_machines_sees_no_automatic_value_by_any_route(prefilled: Node) -> None:
    app: Any = prefilled.client.app
    app.include_router(measuring_router)
    eve = prefilled.as_("eve")
    blind = PROTOCOL[: PROTOCOL.index("proposals")].replace("prefilled", "blind")
    blind = blind.replace("{readers: false}", "{readers: false, machines: true}")
    assert eve.post("/api/reading/protocols", json={"document": blind}).status_code == 200
    wanted = {"protocol": "blind|1", "study": "PROJ-1", "readers": ["ben"]}
    assert eve.post("/api/reading/worklists/blind/from-protocol", json=wanted).json()["added"] == 2

    def seen(name: str) -> set[str]:
        client = prefilled.as_(name)
        listed = {item["series_uid"] for item in client.get("/api/measurements").json()["measurements"]}
        table = client.get("/api/measurements/export.csv", headers={"Accept": "*/*"}).text
        assert listed == {series for series in both if series in table}
        for series in both:
            whole = client.get(
                f"/api/measurements/report.dcm?series={series}&study=PROJ-1", headers={"Accept": "*/*"}
            )
            assert (whole.status_code == 200) == (series in listed), whole.text
        return listed

    both = {uid(study, 1) for study in STUDIES}
    assert seen("ada") == both
    assert seen("ben") == set()
    report = f"/api/reading/imaging-studies/{uid(82)}/report"
    ben = prefilled.as_("ben")
    filled = ben.post(f"{report}/normal?based_on=0").json()
    assert ben.post(f"{report}/sign?based_on={filled['revision']}").status_code == 200
    # Done with the case, the reader may see what the machine measured there.
    assert seen("ben") == {uid(82, 1)}


def test_steps_and_paths() -> None:
    template = newest_template("urn:racoon:questionnaire:thorax-short")
    items = {item.link_id: item for item in template.walk()}
    assert path_of(template, "score-ru") == "lungs/opacities/score-ru"
    assert path_of(template, "nodule-size") is None
    steps = ProposalRule("score-ru", "x", answers=((0.0, "0"), (5.0, "2"), (25.0, "3")))
    scores = [answer_of(steps, items["score-ru"], number) for number in (-1, 0, 4.9, 5, 80)]
    assert scores == [None, Answer(0), Answer(0), Answer(2), Answer(3)]
    assert answer_of(ProposalRule("node-size", "x"), items["node-size"], 7.5) == Answer(7.5)
    coded = answer_of(ProposalRule("emphysema", "x", answers=((0.0, "272519000"),)), items["emphysema"], 1.0)
    assert coded is not None
    assert isinstance(coded.value, Coding)


def test_what_does_not_fit_the_template_is_said() -> None:
    wrong = (
        PROTOCOL.replace("laa_950", "laa_1000")
        .replace('"255604002"', '"1"')
        .replace("question: opacities-present", "question: nodule-size")
    )
    with pytest.raises(BadProtocol) as caught:
        read_protocol(wrong)
    said = [problem.said() for problem in caught.value.problems]
    assert said[0] == "There is no biomarker of the name in proposals[0].biomarker."
    assert said[1].startswith("proposals[0].answers[1] does not fit the question: 272519000")
    assert said[2] == "proposals[1].question is no question of the template, or lies in a group that repeats."
    with pytest.raises(BadProtocol, match="with rising numbers"):
        read_protocol(PROTOCOL.replace("from: 5", "from: 0"))
