"""Findings and reports over HTTP: places, numbers, revisions, authors, rights, audit, signatures."""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.http import router as archive_router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router as reading_router
from racoon.node.reading.work.service import hidden_from, values_hidden_from
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series, deidentified, uid

PASSWORD = "a long enough password"
STUDY = f"/api/reading/imaging-studies/{uid(1)}"
REPORT = f"{STUDY}/report"
ORIGIN = {"Origin": "http://testserver"}


@dataclass
class Node:
    client: TestClient
    database: Database
    readable: dict[str, bool]

    def as_(self, name: str) -> TestClient:
        self.client.cookies.clear()
        self.client.post("/login", data={"username": name, "password": PASSWORD}, headers=ORIGIN)
        return self.client

    def audited(self, action: str) -> int:
        with self.database.connect() as connection:
            return len(AuditLog("node").entries(connection, 10_000, action=action))


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    folder = tmp_path_factory.mktemp("findings")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    readable = {"SUBJ-1": True}
    archive = Archive(
        database,
        LocalFolder(folder / "objects"),
        is_readable=lambda subject: readable[str(subject)],
        hidden_from=hidden_from,
        values_hidden_from=values_hidden_from,
    )
    voxels = np.tile(np.arange(20, dtype=np.int16), (4, 30, 1))
    archive.store([deidentified(item) for item in ct_series(voxels)])
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    for name, role in (
        ("ada", Role.READER),
        ("ben", Role.READER),
        ("eve", Role.DATA_MANAGER),
        ("dan", Role.DPO),
    ):
        accounts.create(database, name, PASSWORD, [role])
    app.state.archive = archive
    app.include_router(archive_router)
    app.include_router(reading_router)
    install_pages(app, site=Site("ALPHA", "Node ALPHA"))
    with TestClient(app, headers={"Accept": "application/json", "Accept-Language": "en", **ORIGIN}) as client:
        yield Node(client, database, readable)
    database.dispose()


def document(*points: tuple[float, float, float], **more: Any) -> dict[str, Any]:
    """A length on the second slice; pixel (row, column) lies at (-20 + 0.7 column, -30 + 0.8 row, 102.5)."""
    return {
        "kind": "length",
        "meaning": "SCT:27925004",
        "imaging_study": uid(1),
        "series": uid(1, 1),
        "instance": uid(1, 1, 2),
        "frame": 1,
        "frame_of_reference": uid(1, 9999),
        "points_mm": [list(point) for point in points or ((-20.0, -30.0, 102.5), (-13.0, -22.0, 102.5))],
        **more,
    }


def put(client: TestClient, finding: str, body: dict[str, Any], based_on: int = 0) -> Any:
    return client.put(f"/api/reading/findings/{finding}?based_on={based_on}", json=body)


def new(client: TestClient, **more: Any) -> dict[str, Any]:
    answer = put(client, str(uuid.uuid4()), document(**more))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def listed(client: TestClient) -> list[str]:
    return [item["id"] for item in client.get(f"{STUDY}/findings").json()["findings"]]


def test_a_finding_is_stored_with_its_number_and_leads_to_its_slice(node: Node) -> None:
    client = node.as_("ada")
    before = node.audited("finding.save")
    found = new(client, note="left")
    assert found["numbers"] == [
        {
            "name": "length",
            "code": {"value": "410668003", "scheme": "SCT", "meaning": "Length"},
            "value": math.hypot(7, 8),
            "unit": "mm",
        }
    ]
    assert (found["author"], found["revision"], found["note"]) == ("ada", 1, "left")
    assert found["tracking_uid"] == f"2.25.{uuid.UUID(found['id']).int}"
    assert found["id"] in listed(client)
    assert node.audited("finding.save") == before + 1
    answer = client.get(found["link"], follow_redirects=False)
    expected = f"/reading/series/{uid(1, 1)}?instance={uid(1, 1, 2)}&frame=1&finding={found['id']}"
    assert (answer.status_code, answer.headers["location"]) == (303, expected)
    assert client.get(expected, headers={"Accept": "text/html"}).status_code == 200


def test_ellipse_and_point_read_the_archived_pixels(node: Node) -> None:
    client = node.as_("ada")
    # Columns 4 to 8 of row 10, one row up and down at column 6: five pixels across, three down.
    x, y = -20 + 0.7 * 6, -30 + 0.8 * 10
    ends = [[x - 1.5, y, 102.5], [x + 1.5, y, 102.5], [x, y - 1.0, 102.5], [x, y + 1.0, 102.5]]
    found = new(client, kind="ellipse", points_mm=ends)
    numbers = {number["name"]: number["value"] for number in found["numbers"]}
    assert numbers["area"] == pytest.approx(math.pi * 1.5)
    values = [4, 5, 6, 7, 8] + [6] * 2 + ([5, 7] * 2 if (0.7 / 1.5) ** 2 + 0.8**2 <= 1 else [])
    assert numbers["mean"] == pytest.approx(np.mean(values))
    assert numbers["sd"] == pytest.approx(np.std(values))
    assert (numbers["minimum"], numbers["maximum"]) == (4, 8)
    point = new(client, kind="probe", points_mm=[[-20 + 0.7 * 13.4, y, 102.5]])
    assert [(n["name"], n["value"], n["unit"]) for n in point["numbers"]] == [("value", 13, "[hnsf'U]")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"points_mm": [[-20.0, -30.0, 102.5]]},
        {"points_mm": [[-20.0, -30.0, 102.5], [-21.0, -30.0, 102.5]]},  # left of the image
        {"points_mm": [[-20.0, -30.0, 102.5], [-13.0, -30.0, 103.0]]},  # above the plane
        {"points_mm": [[-20.0, -30.0, "x"], [-13.0, -30.0, 102.5]]},
        {"points_mm": [[-20.0, -30.0, 1e300], [-13.0, -30.0, 102.5]]},
        {"points_mm": None},
        {"kind": "angle"},
        {"meaning": "SCT:1"},
        {"frame": 2},
        {"frame": 0},
        {"frame": True},
        {"frame_of_reference": uid(2, 9999)},
        {"series": uid(1, 2)},
        {"imaging_study": uid(2)},
        {"instance": uid(1, 1, 99)},
        {"instance": "../../etc"},
        {"note": "x" * 501},
    ],
)
def test_a_finding_that_is_not_on_its_image_is_refused(node: Node, wrong: dict[str, Any]) -> None:
    client = node.as_("ada")
    before = listed(client)
    answer = put(client, str(uuid.uuid4()), document() | wrong)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] in ("reading.bad_finding", "reading.outside_image")
    assert listed(client) == before


@given(
    st.tuples(st.floats(-0.5, 29.5), st.floats(-0.5, 19.5)),
    st.tuples(st.floats(-0.5, 29.5), st.floats(-0.5, 19.5)),
)
def test_every_stored_finding_resolves_to_its_pixels(
    node: Node, start: tuple[float, float], end: tuple[float, float]
) -> None:
    client = node.client if node.client.cookies else node.as_("ada")
    points = [(-20 + 0.7 * column, -30 + 0.8 * row, 102.5) for row, column in (start, end)]
    found = new(client, points_mm=[list(point) for point in points])
    expected = math.hypot((end[0] - start[0]) * 0.8, (end[1] - start[1]) * 0.7)
    assert found["numbers"][0]["value"] == pytest.approx(expected, abs=1e-9)
    assert client.get(f"/api/reading/findings/{found['id']}").json() == found


def test_removing_and_bringing_back_keeps_every_revision(node: Node) -> None:
    client = node.as_("ada")
    found = new(client)
    address = f"/api/reading/findings/{found['id']}"
    removed = client.delete(f"{address}?based_on=1").json()
    assert (removed["removed"], removed["revision"]) == (True, 2)
    assert found["id"] not in listed(client)
    assert client.get(found["link"]).status_code == 404
    again = put(client, found["id"], document(), 2).json()
    assert (again["removed"], again["revision"], again["numbers"]) == (False, 3, found["numbers"])
    assert put(client, found["id"], document(), 1).json()["code"] == "reading.finding_changed"
    changed = document(kind="probe", points_mm=[[-20.0, -30.0, 102.5]])
    assert put(client, found["id"], changed, 3).json()["code"] == "reading.outside_image"


def test_only_the_author_changes_and_only_readers_write(node: Node) -> None:
    found = new(node.as_("ada"))
    ben = node.as_("ben")
    assert found["id"] in listed(ben)
    assert put(ben, found["id"], document(), 1).json()["code"] == "reading.not_your_finding"
    assert ben.delete(f"/api/reading/findings/{found['id']}?based_on=1").status_code == 403
    eve = node.as_("eve")
    assert found["id"] in listed(eve)
    assert put(eve, str(uuid.uuid4()), document()).status_code == 403
    assert eve.get(REPORT).status_code == 403
    dan = node.as_("dan")
    assert dan.get(f"{STUDY}/findings").status_code == 403


def test_findings_of_a_withdrawn_subject_are_gone(node: Node) -> None:
    client = node.as_("ada")
    found = new(client)
    node.readable["SUBJ-1"] = False
    try:
        assert listed(client) == []
        assert client.get(f"/api/reading/findings/{found['id']}").status_code == 404
        assert client.get(REPORT).status_code == 404
        assert put(client, str(uuid.uuid4()), document()).status_code == 422
    finally:
        node.readable["SUBJ-1"] = True


# Reports


def nodules(*answers: dict[str, Any]) -> list[dict[str, Any]]:
    lobe = {"system": "http://snomed.info/sct", "code": "42400003"}
    solid = {"system": "urn:racoon:codes", "code": "nodule-solid"}
    return [
        {
            "linkId": "lungs",
            "item": [
                {"linkId": "nodules-present", "answer": [{"valueBoolean": True}]},
                {
                    "linkId": "nodules",
                    "item": [
                        {"linkId": "nodule-lobe", "answer": [{"valueCoding": lobe}]},
                        {"linkId": "nodule-density", "answer": [{"valueCoding": solid}]},
                        {"linkId": "nodule-size", "answer": list(answers)},
                    ],
                },
            ],
        }
    ]


def from_finding(finding: str, value: float = 1.0) -> dict[str, Any]:
    extension = [{"url": "urn:racoon:fhir:answer-from-finding", "valueString": finding}]
    return {"valueDecimal": value, "extension": extension}


def test_a_report_from_draft_to_signature(node: Node) -> None:
    client = node.as_("ada")
    finding = new(client)
    empty = client.get(REPORT).json()
    assert (empty["revision"], empty["signed_at"]) == (0, None)
    assert empty["form"]["title"] == "Chest CT (short)"
    assert client.get(REPORT, headers={"Accept-Language": "de"}).json()["form"]["title"] == "Thorax-CT (kurz)"
    # A number from the image is the node's own, whatever the browser says.
    saved = client.put(f"{REPORT}?based_on=0", json=nodules(from_finding(finding["id"], 99.0))).json()
    assert saved["revision"] == 1
    (lungs,) = saved["items"]
    (size,) = [item for item in lungs["item"][1]["item"] if item["linkId"] == "nodule-size"]
    assert size["answer"] == [from_finding(finding["id"], math.hypot(7, 8))]
    refused = client.post(f"{REPORT}/sign?based_on=1")
    assert (refused.status_code, refused.json()["code"]) == (422, "reading.incomplete_report")
    filled = client.post(f"{REPORT}/normal?based_on=1").json()
    assert filled["problems"] == []
    # The nodule stays what it was; only open questions became normal.
    assert lungs["item"][1] in next(item for item in filled["items"] if item["linkId"] == "lungs")["item"]
    assert client.post(f"{REPORT}/sign?based_on=1").json()["code"] == "reading.report_changed"
    before = node.audited("report.sign")
    signed = client.post(f"{REPORT}/sign?based_on=2").json()
    assert signed["signed_at"]
    assert node.audited("report.sign") == before + 1
    response = client.get(f"{REPORT}/questionnaire-response").json()
    assert response["status"] == "completed"
    assert response["questionnaire"] == "urn:racoon:questionnaire:thorax-short|2"
    assert response["subject"]["identifier"]["value"] == "SUBJ-1"
    for again in (
        client.put(f"{REPORT}?based_on=3", json=[]),
        client.post(f"{REPORT}/normal?based_on=3"),
        client.post(f"{REPORT}/sign?based_on=3"),
    ):
        assert (again.status_code, again.json()["code"]) == (409, "reading.report_signed")
    # Another reader's report is another report, and does not show this one.
    assert node.as_("ben").get(REPORT).json()["revision"] == 0


def test_a_source_that_is_not_there_is_refused(node: Node) -> None:
    client = node.as_("ben")
    probe = new(client, kind="probe", points_mm=[[-20.0, -30.0, 102.5]])
    gone = new(client)
    client.delete(f"/api/reading/findings/{gone['id']}?based_on=1")
    for finding in (str(uuid.uuid4()), probe["id"], gone["id"]):
        answer = client.put(f"{REPORT}?based_on=0", json=nodules(from_finding(finding)))
        assert (answer.status_code, answer.json()["code"]) == (422, "reading.no_such_source")
    bad = client.put(f"{REPORT}?based_on=0", json=[{"linkId": "nobody"}])
    assert (bad.status_code, bad.json()["code"]) == (422, "reading.bad_answers")
    assert client.get(f"{REPORT}?template=urn:nobody").status_code == 404


def test_wrong_answers_are_saved_and_said_at_their_field(node: Node) -> None:
    client = node.as_("ben")
    revision = client.get(REPORT).json()["revision"]
    saved = client.put(f"{REPORT}?based_on={revision}", json=nodules({"valueDecimal": 999.0})).json()
    said = {problem["path"]: problem for problem in saved["problems"]}
    assert said["lungs/nodules[0]/nodule-size"]["message"] == "The largest possible answer is 300."
    german = client.get(REPORT, headers={"Accept-Language": "de"}).json()["problems"]
    assert "Die größte mögliche Antwort ist 300." in [problem["message"] for problem in german]


def test_a_cylinder_and_a_cube_are_punched_by_their_own_shapes(node: Node) -> None:
    """Voxels counted by hand: 0.7 mm columns, 0.8 mm rows, 2.5 mm slices, values are the column's number."""
    client = node.as_("ada")
    centre, size = (-13.0, -18.0, 102.5), 5.0
    points = [list(centre), [centre[0] + size / 2, centre[1], centre[2]]]
    found = {}
    for kind in ("sphere", "cylinder", "cube"):
        numbers = new(client, kind=kind, points_mm=points)["numbers"]
        found[kind] = {item["name"]: item["value"] for item in numbers}
    rows, columns = np.mgrid[:30, :20]
    across = np.hypot(0.7 * columns - 20 + 13, 0.8 * rows - 30 + 18)
    # The slices next to the middle one touch the ends of cylinder and cube: three of them.
    cylinder = 3 * int((across <= size / 2).sum())
    beside = np.maximum(np.abs(0.7 * columns - 7), np.abs(0.8 * rows - 12))
    cube = 3 * int((beside <= size / 2 + 1e-9).sum())
    assert found["cylinder"]["volume"] == pytest.approx(cylinder * 0.7 * 0.8 * 2.5 / 1000)
    assert found["cube"]["volume"] == pytest.approx(cube * 0.7 * 0.8 * 2.5 / 1000)
    assert found["sphere"]["volume"] < found["cylinder"]["volume"] < found["cube"]["volume"]
    assert (found["cube"]["length"], found["cylinder"]["diameter"]) == (size, size)
    assert found["cube"]["mean"] == pytest.approx(10.0)
