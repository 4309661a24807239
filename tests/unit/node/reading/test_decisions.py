"""A third reader decides between two blinded readings: what is shown when, whose answer it is, who is named."""

from __future__ import annotations

import csv
import hashlib
import io
from typing import Any

import numpy as np
import pytest
from pyarrow import parquet
from starlette.testclient import TestClient

from racoon.domain.canonical import canonical_json
from racoon.domain.identity import Role
from racoon.domain.questionnaire import Answer, Coding
from racoon.node.reading.adjudication.model import whose_answers
from racoon.node.reading.model import runs_of
from racoon.node.reading.work.model import Assignment
from racoon.node.reading.work.service import Work
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import PASSWORD, Node, new, node
from tests.unit.node.reading.test_work import SHAPE, THORAX, assign, sign

__all__ = ["node"]

STUDY = 61
REPORT = f"/api/reading/imaging-studies/{uid(STUDY)}/report"
CASE = f"/api/reading/worklists/third/cases/{uid(STUDY)}"


def read(client: TestClient, size: float, box: tuple[int, int, int, int]) -> str:
    """Draw a box, answer everything as normal but the image quality and one nodule, and sign."""
    place = f"/api/reading/series/{uid(STUDY, 1)}/drawing"
    made = client.post(f"{place}/segments?based_on=0&label=SCT:27925004").json()
    mask = np.zeros(SHAPE[1:], np.bool_)
    mask[box[0] : box[1], box[2] : box[3]] = True
    stroke = [{"segment": 1, "slice": 1, "runs": runs_of(mask)}]
    saved = client.patch(f"{place}?based_on={made['revision']}", json=stroke).json()
    finished: str = client.post(f"{place}/finish?based_on={saved['revision']}").json()["instance"]
    revision = client.get(REPORT).json()["revision"]
    lobe = client.get(REPORT).json()["form"]["items"][1]["items"][1]["items"]
    options = {item["linkId"]: item["options"][0] for item in lobe if item.get("options")}
    nodule = [
        {"linkId": "nodule-size", "answer": [{"valueDecimal": size}]},
        *(
            {"linkId": key, "answer": [{"valueCoding": {"system": one["system"], "code": one["code"]}}]}
            for key, one in options.items()
        ),
    ]
    items = [
        {
            "linkId": "lungs",
            "item": [
                {"linkId": "nodules-present", "answer": [{"valueBoolean": True}]},
                {"linkId": "nodules", "item": nodule},
            ],
        }
    ]
    kept = client.put(f"{REPORT}?based_on={revision}", json=items)
    assert kept.status_code == 200, kept.text
    sign(client, STUDY)
    return finished


@pytest.fixture(scope="module")
def decided(node: Node) -> dict[str, Any]:
    """Let ada and ben read and cy decide; keep what each step answered."""
    archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    archive.store([deidentified(item) for item in ct_series(np.zeros(SHAPE, np.int16), study=STUDY)])
    node.client.app.state.accounts.create(node.database, "cy", PASSWORD, [Role.READER])  # type: ignore[attr-defined]  # an application, not any ASGI function
    assert assign(node, "third", [STUDY], adjudicator="ben").json()["code"] == "reading.bad_assignment"
    assert assign(node, "third", [STUDY], adjudicator="cy").json() == {"added": 3}
    found: dict[str, Any] = {}
    found["ada"] = read(node.as_("ada"), 8.0, (4, 10, 4, 10))
    cy = node.as_("cy")
    found["waiting"] = cy.get("/api/reading/worklist").json()["tasks"]
    found["too early"] = cy.get(f"{CASE}/readings").json()
    found["blinded"] = found["ada"] in cy.get(f"/api/reading/series/{uid(STUDY, 1)}").text
    found["next"] = cy.get("/reading/worklist/next", follow_redirects=False).headers["location"]
    filled = cy.post(f"{REPORT}/normal?based_on=0").json()
    found["signed early"] = cy.post(f"{REPORT}/sign?based_on={filled['revision']}").json()
    found["ben"] = read(node.as_("ben"), 11.0, (4, 10, 7, 13))
    cy = node.as_("cy")
    found["ready"] = cy.get("/api/reading/worklist").json()["tasks"]
    found["both"] = cy.get(f"{CASE}/readings", headers={"Accept-Language": "de"}).json()
    begun = cy.post(f"{CASE}/begin?based_on={filled['revision']}").json()
    found["begun"] = begun
    from_ben = cy.post(f"{CASE}/begin?reader=ben&based_on={begun['revision']}").json()
    found["record before"] = cy.get(f"{CASE}/decision").status_code
    signed = cy.post(f"{REPORT}/sign?based_on={from_ben['revision']}")
    assert signed.status_code == 200, signed.text
    found["record"] = cy.get(f"{CASE}/decision").json()
    found["provenance"] = cy.get(f"{CASE}/provenance").json()
    found["page"] = cy.get(f"{REPORT}/document", headers={"Accept": "text/html"}).text
    found["done"] = cy.get("/api/reading/worklist").json()["tasks"]
    return found


def test_nothing_is_shown_or_signed_before_both_readers_are_done(decided: dict[str, Any]) -> None:
    (task,) = decided["waiting"]
    assert (task["duty"], task["waiting"]) == ("adjudicate", True)
    assert decided["too early"]["code"] == decided["signed early"]["code"] == "reading.readings_missing"
    assert decided["blinded"] is False
    assert decided["next"] == "/reading/worklist"
    assert decided["ready"][0]["waiting"] is False


def test_both_readings_stand_side_by_side(decided: dict[str, Any]) -> None:
    both = decided["both"]
    assert both["readers"] == ["ada", "ben"]
    assert both["differing"] == ["lungs/nodules[0]/nodule-size"]
    size = both["answers"]["lungs/nodules[0]/nodule-size"]
    assert [size["ada"]["text"], size["ben"]["text"]] == ["8 mm", "11 mm"]
    assert size["ben"]["answer"] == [{"valueDecimal": 11.0}]
    (mask,) = both["masks"]
    # Two boxes of 36 pixels that share half: 2 * 18 / 72.
    assert (mask["dice"], mask["name"]) == (0.5, "Rundherd")
    assert mask["hd95_mm"] == pytest.approx(3 * 0.7)
    assert mask["volumes_ml"][0] == pytest.approx(36 * 0.8 * 0.7 * 2.5 / 1000)
    assert [key.partition(":")[0] for key in mask["segments"]] == [decided["ada"], decided["ben"]]
    kappa = {item["link_id"]: item for item in both["agreement"]}
    assert kappa["nodules-present"]["cases"] == 1


def test_a_draft_begins_with_what_both_say_alike(decided: dict[str, Any]) -> None:
    lungs = next(item for item in decided["begun"]["items"] if item["linkId"] == "lungs")
    (nodule,) = [item for item in lungs["item"] if item["linkId"] == "nodules"]
    assert "nodule-size" not in {item["linkId"] for item in nodule["item"]}
    assert "nodule-density" in {item["linkId"] for item in nodule["item"]}
    assert [problem["path"] for problem in decided["begun"]["problems"]] == ["lungs/nodules[0]/nodule-size"]


def test_the_signed_record_names_all_three_and_whose_answer_it_is(
    decided: dict[str, Any], node: Node
) -> None:
    record = dict(decided["record"])
    assert record["adjudicator"] == "cy"
    assert [reading["reader"] for reading in record["readings"]] == ["ada", "ben"]
    assert record["whose"]["lungs/nodules[0]/nodule-size"] == "ben"
    assert set(record["whose"].values()) == {"both", "ben"}
    assert record["masks"][0]["dice"] == 0.5
    digest = record.pop("sha256")
    assert hashlib.sha256(canonical_json(record)).hexdigest() == digest
    with node.database.connect() as connection:
        audit = node.client.app.state.audit  # type: ignore[attr-defined] # a FastAPI application
        (entry,) = audit.entries(connection, 10, action="report.decide")
    assert (entry.actor, entry.details["sha256"]) == ("cy", digest)
    assert decided["record before"] == 404
    provenance = decided["provenance"]
    people = [agent["who"]["display"] for agent in provenance["agent"]]
    people += [agent["who"]["display"] for entity in provenance["entity"] for agent in entity["agent"]]
    assert people == ["cy", "ada", "ben"]
    assert all(name in decided["page"] for name in ("cy", "ada", "ben"))
    assert decided["done"][0]["done_at"]


def test_whose_answer_it_is_follows_from_the_answers() -> None:
    yes, no, code = Answer(True), Answer(False), Answer(Coding("s", "1", "one"))
    readings = {"a": {"x": (yes,), "y": (yes,), "z": (code,)}, "b": {"x": (yes,), "y": (no,)}}
    decided = {"x": (yes,), "y": (no,), "z": (Answer(Coding("s", "1")),), "w": (yes,)}
    assert whose_answers(decided, readings) == {"x": "both", "y": "b", "z": "a", "w": "own"}


def test_what_was_signed_is_a_table(decided: dict[str, Any], node: Node) -> None:
    eve = node.as_("eve")
    place = "/api/reading/worklists/third/answers"
    rows = eve.get(f"{place}?as=json").json()["answers"]
    sizes = {
        (row["reader"], row["duty"]): (row["number"], row["unit"])
        for row in rows
        if row["path"] == "lungs/nodules[0]/nodule-size"
    }
    assert sizes == {
        ("ada", "read"): (8.0, "mm"),
        ("ben", "read"): (11.0, "mm"),
        ("cy", "adjudicate"): (11.0, "mm"),
    }
    (truth,) = {row["truth"] for row in rows if row["link_id"] == "nodules-present"}
    assert truth is True
    lines = list(csv.DictReader(io.StringIO(eve.get(place).text, newline="")))
    assert [line["path"] for line in lines] == [row["path"] for row in rows]
    assert {line["pseudonym"] for line in lines} == {decided["ready"][0]["pseudonym"]}
    table = parquet.read_table(io.BytesIO(eve.get(f"{place}?as=parquet").content))
    assert table.num_rows == len(rows)
    assert str(table.schema.field("number").type) == "double"
    assert node.as_("ada").get(place).status_code == 403
    assert node.audited("reading.export") == 3


def test_who_decides_learns_the_names_only_afterwards_where_the_protocol_says_so(
    node: Node, decided: dict[str, Any]
) -> None:
    assert decided["done"]
    archive = node.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    archive.store([deidentified(item) for item in ct_series(np.zeros(SHAPE, np.int16), study=62)])
    wanted = Assignment(
        "nameless",
        THORAX,
        (uid(62, 1),),
        ("ada", "ben"),
        is_blinded=False,
        adjudicator="cy",
        hides_names=True,
    )
    eve = User("eve", frozenset({Role.DATA_MANAGER}))
    assert Work(node.database, AuditLog("node"), archive).assign(eve, wanted) == 3
    place = {"series": uid(62, 1), "instance": uid(62, 1, 2), "frame_of_reference": uid(62, 9999)}
    for name in ("ada", "ben"):
        client = node.as_(name)
        new(client, imaging_study=uid(62), **place)
        sign(client, 62)
    cy = node.as_("cy")
    case = f"/api/reading/worklists/nameless/cases/{uid(62)}"
    study = f"/api/reading/imaging-studies/{uid(62)}"
    both = cy.get(f"{case}/readings")
    assert both.json()["readers"] in (["A", "B"], ["B", "A"])
    findings = cy.get(f"{study}/findings")
    assert {item["author"] for item in findings.json()["findings"]} == {"A", "B"}
    single = cy.get(f"/api/reading/findings/{findings.json()['findings'][0]['id']}")
    for shown in (both, findings, single):
        assert "ada" not in shown.text
        assert "ben" not in shown.text
    assert cy.post(f"{case}/begin?reader=ada&based_on=0").status_code == 404
    begun = cy.post(f"{case}/begin?reader=A&based_on=0").json()
    assert cy.post(f"{study}/report/sign?based_on={begun['revision']}").status_code == 200
    assert [item["reader"] for item in cy.get(f"{case}/decision").json()["readings"]] == ["ada", "ben"]
    assert {item["author"] for item in cy.get(f"{study}/findings").json()["findings"]} == {"ada", "ben"}
