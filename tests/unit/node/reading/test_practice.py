"""Reading against a reference: hidden, scored, passed or not, kept apart from study data, and let off with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.domain.questionnaire import items_of, normal_items
from racoon.domain.reading_protocol import protocol_of
from racoon.node.reading.practice.model import PassMark
from racoon.node.reading.practice.scoring import score_answers, score_attempt, score_masks
from racoon.node.reading.reports.catalogue import newest_template
from racoon.platform.database import metadata
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_agreement import box, each_signed_in
from tests.unit.node.reading.test_findings_and_reports import PASSWORD, Node, new, node
from tests.unit.node.reading.test_work import SHAPE, THORAX, assign, sign

__all__ = ["node"]

STUDIES = [81, 82]
SETS = "/api/reading/reference-sets"
HTML = {"Accept": "text/html", "Accept-Language": "de"}


def report(study: int) -> str:
    return f"/api/reading/imaging-studies/{uid(study)}/report"


def answer(client: TestClient, study: int, *, nodules: bool) -> Any:
    """Answer everything as normal but that there are nodules, or as normal, and submit."""
    filled = client.post(f"{report(study)}/normal?based_on=0").json()
    items = filled["items"]
    if nodules:
        lungs = next(item for item in items if item["linkId"] == "lungs")
        for question in lungs["item"]:
            if question["linkId"] == "opacities-present":
                question["answer"] = [{"valueBoolean": True}]
        scores = [
            {"linkId": f"score-{lobe}", "answer": [{"valueInteger": 1}]}
            for lobe in ("ru", "rm", "rl", "lu", "ll")
        ]
        lungs["item"].append({"linkId": "opacities", "item": scores})
    saved = client.put(f"{report(study)}?based_on={filled['revision']}", json=items).json()
    return client.post(f"{report(study)}/sign?based_on={saved['revision']}")


def rows(node: Node, table: str, **where: str) -> int:
    found = metadata("node").tables[table]
    query = (
        sa.select(sa.func.count())
        .select_from(found)
        .where(*(found.c[name] == value for name, value in where.items()))
    )
    with node.database.connect() as connection:
        return int(connection.execute(query).scalar_one())


@pytest.fixture(scope="module")
def tried(node: Node) -> dict[str, Any]:  # noqa: PLR0915 - one story, in the order in which it happens
    """Let cy sign the reference of two cases, ada try a calibration and ben a teaching set."""
    state = node.client.app.state  # type: ignore[attr-defined] # a FastAPI application
    for study in STUDIES:
        state.archive.store(
            [deidentified(item) for item in ct_series(np.zeros(SHAPE, np.int16), study=study)]
        )
    state.accounts.create(node.database, "cy", PASSWORD, [Role.READER])
    found: dict[str, Any] = {}
    people = each_signed_in(node)
    cy = people("cy")
    place = {"imaging_study": uid(81), "series": uid(81, 1), "instance": uid(81, 1, 2)}
    finding = new(cy, **place, frame_of_reference=uid(81, 9999))
    for study in STUDIES:
        box(cy, study, 4)
        sign(cy, study)
    mask = cy.get(f"/api/reading/series/{uid(81, 1)}/drawing").json()["instance"]
    eve = people("eve")
    wanted = {
        "name": "first",
        "kind": "calibration",
        "series": [uid(study, 1) for study in STUDIES],
        "reference": "cy",
    }
    marks = [{"what": "answers", "at_least": 0.9}, {"what": "SCT:27925004", "at_least": 0.5}]
    found["no reading"] = eve.post(SETS, json=wanted | {"reference": "ada"}).json()["code"]
    found["made"] = eve.post(SETS, json=wanted | {"marks": marks}).json()
    found["twice"] = eve.post(SETS, json=wanted).json()["code"]
    assert eve.post(SETS, json=wanted | {"name": "lesson", "kind": "teaching"}).status_code == 200
    found["not yet"] = [state.archive is not None, gate(eve, "ada")]
    assert eve.post(f"{SETS}/first/readers", json={"readers": ["ada"]}).json() == {"invited": 1}
    assert eve.post(f"{SETS}/lesson/readers", json={"readers": ["ben"]}).json() == {"invited": 1}
    found["in an attempt"] = assign(node, "study", [81]).json()["code"]

    def seen(client: TestClient) -> list[bool]:
        """Tell by which routes the reference is visible."""
        series = f"/api/reading/series/{uid(81, 1)}"
        return [
            client.get(f"/api/reading/imaging-studies/{uid(81)}/findings").json()["findings"] != [],
            client.get(f"/api/reading/findings/{finding['id']}").status_code == 200,
            mask in client.get(series).text,
            mask in client.get(f"/dicom-web/studies/{uid(81)}/instances").text,
        ]

    # ada: nothing drawn and opacities that are not there, so the calibration is not passed.
    ada = people("ada")
    found["ada sees"] = seen(ada)
    found["next"] = ada.get("/reading/worklist/next", follow_redirects=False).headers["location"]
    found["room"] = ada.get(found["next"], headers=HTML).text
    own = new(ada, **place, frame_of_reference=uid(81, 9999))
    found["own mark"] = [
        own["author"],
        len(ada.get(f"/api/reading/imaging-studies/{uid(81)}/findings").json()["findings"]),
    ]
    found["submitted"] = [answer(ada, study, nodules=True) for study in STUDIES]
    (attempt,) = ada.get("/api/reading/practice").json()["attempts"]
    found["first try"] = attempt
    found["result"] = ada.get(f"/api/reading/practice/{attempt['attempt']}/cases/{uid(81)}").json()
    found["ada still sees"] = seen(people("ada"))
    found["failed"] = gate(people("eve"), "ada")
    # Again, this time as the reference did.
    ada = people("ada")
    assert ada.post("/api/reading/practice/first/again").status_code == 200
    found["too early"] = ada.post("/api/reading/practice/first/again").json()["code"]
    for study in STUDIES:
        place_of = f"/api/reading/series/{uid(study, 1)}/drawing"
        found["drawing is new"] = ada.get(place_of).json()["segments"]
        box(ada, study, 7 if study == 81 else 4)
        answer(ada, study, nodules=False)
    found["tries"] = ada.get("/api/reading/practice").json()["attempts"]
    found["ada sees after"] = seen(ada)
    found["page"] = ada.get("/reading/practice", headers=HTML).text
    found["result page"] = ada.get(found["tries"][1]["cases"][0]["link"], headers=HTML).text
    found["once passed"] = ada.post("/api/reading/practice/first/again").json()["code"]
    found["passed"] = gate(people("eve"), "ada")
    # ben: teaching shows the reference after each case.
    ben = people("ben")
    answer(ben, 81, nodules=True)
    (lesson,) = ben.get("/api/reading/practice").json()["attempts"]
    done = next(case for case in lesson["cases"] if case["submitted_at"])
    found["lesson"] = ben.get(f"/api/reading/practice/{lesson['attempt']}/cases/{uid(81)}").json()
    found["lesson open"] = ben.get(f"/api/reading/practice/{lesson['attempt']}/cases/{uid(82)}").json()[
        "code"
    ]
    found["ben sees"] = seen(ben)
    found["lesson page"] = ben.get(done["link"], headers=HTML).text
    found["foreign"] = (
        people("cy").get(f"/api/reading/practice/{lesson['attempt']}/cases/{uid(81)}").status_code
    )
    # eve lets ben off the calibration.
    eve = people("eve")
    found["before waiver"] = gate(eve, "ben")
    found["no reason"] = eve.post(f"{SETS}/first/waivers", json={"reader": "ben", "reason": " "}).json()[
        "code"
    ]
    found["waiver"] = eve.post(
        f"{SETS}/first/waivers", json={"reader": "ben", "reason": "reads for ten years"}
    ).json()
    found["after waiver"] = gate(eve, "ben")
    found["sets page"] = eve.get("/reading/reference-sets", headers=HTML).text
    return found


def gate(eve: TestClient, reader: str) -> str:
    """Ask for a list of another case by a protocol that demands the calibration; say how it was answered."""
    state = eve.app.state  # type: ignore[attr-defined] # a FastAPI application
    state.series_of_study = lambda _study: [uid(1, 1)]
    document = f"name: gated\nversion: 1\ntemplate: {THORAX}\ncalibration: first\n"
    assert eve.post("/api/reading/protocols", json={"document": document}).status_code == 200
    wanted = {"protocol": "gated|1", "study": "any", "readers": [reader]}
    found = eve.post(f"/api/reading/worklists/gated-{reader}/from-protocol", json=wanted)
    return "given" if found.status_code == 200 else str(found.json()["code"])


def test_the_reference_is_hidden_until_the_calibration_is_passed(tried: dict[str, Any]) -> None:
    assert tried["no reading"] == "reading.bad_set"
    assert tried["twice"] == "reading.set_is_fixed"
    assert tried["ada sees"] == tried["ada still sees"] == [False] * 4
    assert tried["result"]["answers"][0]["reference"] is None
    assert "different" not in tried["result"]["score"]
    assert tried["ada sees after"] == [True] * 4
    assert "attempt=" in tried["next"]
    assert "wird an einer Referenz gemessen" in tried["room"]


def test_a_reader_gets_no_study_case_before_passing(tried: dict[str, Any], node: Node) -> None:
    assert tried["not yet"][1] == tried["failed"] == tried["before waiver"] == "reading.bad_assignment"
    assert tried["passed"] == tried["after waiver"] == "given"
    assert tried["in an attempt"] == "reading.bad_assignment"
    assert tried["no reason"] == "reading.bad_set"
    assert (tried["waiver"]["given_by"], tried["waiver"]["reason"]) == ("eve", "reads for ten years")
    assert node.audited("practice.waive") == 1
    assert node.audited("practice.end") == 2


def test_every_try_is_scored_and_kept(tried: dict[str, Any]) -> None:
    first, second = tried["tries"]
    assert first == tried["first try"]
    assert [first["passed"], second["passed"]] == [False, True]
    assert [first["number"], second["number"]] == [1, 2]
    # Of the scored questions of a normal chest one answer differs, and five of a group are given that were not asked.
    score = first["cases"][0]["score"]
    assert len(score["different"]) == 6
    assert score["all"] - score["equal"] == 6
    assert score["masks"][0]["dice"] == 0
    assert second["score"]["share"] == 1
    # One box shares half with the reference, one is the same: 0.5 and 1.
    (mask,) = second["score"]["masks"]
    assert (mask["dice"], mask["cases"]) == (0.75, 2)
    assert all(mark["reached"] for mark in second["score"]["marks"])
    assert tried["too early"] == tried["once passed"] == "reading.not_now"
    assert tried["drawing is new"] == []
    for text in ("bestanden", "nicht bestanden", "Versuch 2"):
        assert text in tried["page"]


def test_teaching_shows_the_reference_beside_the_own_answers(tried: dict[str, Any]) -> None:
    lines = {line["path"]: line for line in tried["lesson"]["answers"]}
    opacities = lines["lungs/opacities-present"]
    assert (opacities["own"], opacities["reference"], opacities["equal"]) == ("yes", "no", False)
    assert lines["lungs/nodules-present"]["equal"] is True
    # What is computed from other answers is shown, and counts neither way.
    assert (lines["lungs/opacities/score-sum"]["own"], lines["lungs/opacities/score-sum"]["equal"]) == (
        "5",
        None,
    )
    assert tried["ben sees"] == [True] * 4
    assert tried["lesson open"] == "reading.not_now"
    assert "Referenz" in tried["lesson page"]
    assert tried["foreign"] == 404
    assert "reads for ten years" in tried["sets page"]


def test_nothing_of_an_attempt_becomes_study_data(tried: dict[str, Any], node: Node) -> None:
    assert [step.status_code for step in tried["submitted"]] == [200, 200]
    assert tried["own mark"] == ["ada", 1]
    for study in STUDIES:
        versions = metadata("node").tables["reading_report_version"].c
        with node.database.connect() as connection:
            authors = set(
                connection.execute(
                    sa.select(versions.author).where(versions.imaging_study_uid == uid(study))
                ).scalars()
            )
        assert authors == {"cy"}
    cy = node.as_("cy")
    shown = cy.get(f"/api/reading/imaging-studies/{uid(81)}/findings").json()["findings"]
    assert [item["author"] for item in shown] == ["cy"]
    # Two masks by cy, none by those who practised.
    assert rows(node, "reading_drawing", imaging_study_uid=uid(81)) >= 2
    seg = cy.get(f"/dicom-web/studies/{uid(81)}/series?Modality=SEG").json()
    assert len(seg) == 1


def test_scores_are_exact() -> None:
    template = newest_template(THORAX)
    normal = normal_items(template, ())
    flat = {answered.link_id for group in normal for answered in group.items}
    score = score_answers(template, normal, normal)
    assert (score["equal"], score["different"]) == (score["all"], [])
    assert score["all"] == len(flat)
    first, second = np.zeros((2, 8, 8), bool), np.zeros((2, 8, 8), bool)
    first[0, :4, :4], second[0, :4, 2:6] = True, True
    (mask,) = score_masks({"SCT:1": ("a", first)}, {"SCT:1": ("a", second)}, np.eye(4))
    assert mask["dice"] == 0.5
    (missing,) = score_masks({}, {"SCT:1": ("a", second)}, np.eye(4))
    assert (missing["dice"], missing["hd95_mm"]) == (0.0, None)
    case = score | {"masks": [mask]}
    marks = [PassMark("SCT:1", 0.6), PassMark("nodules-present", 0.5), PassMark("effusion-depth", 0.1)]
    total, is_passed = score_attempt(template, {"1": (normal, items_of(template, []))}, [case], marks)
    assert [mark["reached"] for mark in total["marks"]] == [False, False, False]
    assert not is_passed
    # A question on which both only ever said the same one thing has no kappa, and that is no failure.
    total, is_passed = score_attempt(
        template, {"1": (normal, normal)}, [case], [PassMark("nodules-present", 0.9)]
    )
    assert total["items"][0]["value"] is None
    assert is_passed


def test_protocols_without_a_calibration_keep_their_hash() -> None:
    document = {"name": "p", "version": 1, "template": "t"}
    plain = protocol_of(document, ["t"])
    assert "calibration" not in plain.to_dict()
    asked = protocol_of(document | {"calibration": "first"}, ["t"])
    assert protocol_of(asked.to_dict(), ["t"]) == asked
