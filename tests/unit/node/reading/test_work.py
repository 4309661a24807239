"""Reading lists: order, progress, blinding by every route of the room, and agreement with known disagreement."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from racoon.node.reading.comparing.items import compare
from racoon.node.reading.model import runs_of
from racoon.node.reading.reports.catalogue import newest_template
from racoon.node.reading.work.timing import CaseTime, Event, case_time
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.reading.test_findings_and_reports import Node, new, node

__all__ = ["node"]

THORAX = "urn:racoon:questionnaire:thorax-short"
SHAPE = (4, 30, 20)


def assign(node: Node, name: str, studies: list[int], **more: Any) -> Any:
    body = {"series": [uid(study, 1) for study in studies], "readers": ["ada", "ben"], **more}
    return node.as_("eve").post(f"/api/reading/worklists/{name}/tasks", json=body)


def sign(client: TestClient, study: int) -> None:
    place = f"/api/reading/imaging-studies/{uid(study)}/report"
    revision = client.get(place).json()["revision"]
    filled = client.post(f"{place}/normal?based_on={revision}").json()
    assert client.post(f"{place}/sign?based_on={filled['revision']}").status_code == 200


def draw(client: TestClient, study: int) -> str:
    """Draw and store a mask; returns the UID of the segmentation."""
    place = f"/api/reading/series/{uid(study, 1)}/drawing"
    made = client.post(f"{place}/segments?based_on=0&label=SCT:27925004").json()
    mask = np.zeros(SHAPE[1:], np.bool_)
    mask[5:9, 5:9] = True
    stroke = [{"segment": 1, "slice": 1, "runs": runs_of(mask)}]
    saved = client.patch(f"{place}?based_on={made['revision']}", json=stroke).json()
    found: str = client.post(f"{place}/finish?based_on={saved['revision']}").json()["instance"]
    return found


def test_a_blinded_pair_sees_each_other_only_when_both_are_done(node: Node) -> None:
    archive = node.client.app.state.archive
    for study in (21, 22):
        archive.store([deidentified(item) for item in ct_series(np.zeros(SHAPE, np.int16), study=study)])
    assert assign(node, "pilot", [21, 22], priority=3, due_on="2027-01-31").json() == {"added": 4}
    assert assign(node, "pilot", [21, 22]).json() == {"added": 0}
    ada = node.as_("ada")
    assert (
        ada.post("/api/reading/worklists/pilot/tasks", json={"series": [], "readers": []}).status_code == 403
    )
    tasks = ada.get("/api/reading/worklist").json()["tasks"]
    assert {task["imaging_study"] for task in tasks} == {uid(21), uid(22)}
    assert ada.get("/reading/worklist/next", follow_redirects=False).headers["location"] == tasks[0]["link"]
    assert "2027-01-31" in ada.get("/reading/worklist", headers={"Accept": "text/html"}).text
    place = {"imaging_study": uid(21), "series": uid(21, 1), "instance": uid(21, 1, 2)}
    finding = new(ada, **place, frame_of_reference=uid(21, 9999))
    mask = draw(ada, 21)
    sign(ada, 21)
    assert [task["done_at"] is None for task in ada.get("/api/reading/worklist").json()["tasks"]] == [
        True,
        False,
    ]
    findings, series = f"/api/reading/imaging-studies/{uid(21)}/findings", f"/api/reading/series/{uid(21, 1)}"

    def seen(client: TestClient) -> list[bool]:
        """Tell by which routes the first reader's work is visible."""
        adopting = client.post(f"{series}/drawing/adopt?based_on=99&segmentation={mask}")
        return [
            client.get(findings).json()["findings"] != [],
            client.get(f"/api/reading/findings/{finding['id']}").status_code == 200,
            mask in client.get(series).text,
            mask in client.get(f"/reading/series/{uid(21, 1)}").text,
            mask in client.get(f"/reading/series/{uid(21, 1)}/overlays/1").text,
            adopting.json()["code"] == "reading.drawing_changed",
        ]

    assert seen(node.as_("ada")) == [True] * 6
    ben = node.as_("ben")
    assert seen(ben) == [False] * 6
    eve = node.as_("eve")
    assert eve.get("/api/reading/worklists/pilot/agreement").json()["code"] == "reading.still_blinded"
    sign(node.as_("ben"), 21)
    assert seen(node.as_("ben")) == [True] * 6
    eve = node.as_("eve")
    assert eve.get("/api/reading/worklists/pilot").json()["readers"] == [
        {"reader": "ada", "done": 1, "all": 2},
        {"reader": "ben", "done": 1, "all": 2},
    ]
    agreed = eve.get("/api/reading/worklists/pilot/agreement").json()["agreement"]
    assert {item["cases"] for item in agreed} == {1}
    assert eve.get("/api/reading/worklists/none").status_code == 404


def test_known_disagreement_gives_the_exact_numbers() -> None:
    """Kappa of the textbook table 20, 5, 10, 15 (0.4), and an ICC by its own formula."""
    template = newest_template(THORAX)
    pairs = [(True, True)] * 20 + [(True, False)] * 5 + [(False, True)] * 10 + [(False, False)] * 15
    rng = np.random.default_rng(1)
    sizes = rng.uniform(4, 30, 50)
    other = sizes + rng.normal(1, 2, 50)
    cases = [str(number) for number in range(50)]
    signed: dict[tuple[str, str], dict[str, object]] = {}
    for case, (one, two), first, second in zip(cases, pairs, sizes, other, strict=True):
        signed["ada", case] = {"nodules-present": one, "nodule-size": float(first)}
        signed["ben", case] = {"nodules-present": two, "nodule-size": float(second)}
    found = {item.measure: item for item in compare(template, ("ada", "ben"), signed, cases)}
    assert found["kappa"].value == pytest.approx(0.4, abs=1e-12)
    table = np.column_stack([sizes, other])
    grand, rows, columns = table.mean(), table.mean(axis=1), table.mean(axis=0)
    bms = 2 * ((rows - grand) ** 2).sum() / 49
    jms = 50 * ((columns - grand) ** 2).sum()
    ems = ((table - rows[:, None] - columns + grand) ** 2).sum() / 49
    icc = (bms - ems) / (bms + ems + 2 * (jms - ems) / 50)
    assert found["ICC(2,1)"].value == pytest.approx(icc, abs=1e-9)
    assert found["ICC(2,1)"].cases == 50
    # Limits of agreement: bias and 1.96 standard deviations of the differences.
    differences = sizes - other
    assert found["ICC(2,1)"].limits == pytest.approx(
        [differences.mean() + by * 1.959964 * differences.std(ddof=1) for by in (-1, 0, 1)], abs=1e-6
    )
    assert found["ICC(2,1)"].unit == "mm"
    assert found["kappa"].limits is None


def test_each_reader_has_an_own_order(node: Node) -> None:
    archive = node.client.app.state.archive
    studies = list(range(31, 39))
    for study in studies:
        archive.store([deidentified(item) for item in ct_series(np.zeros((1, 4, 4), np.int16), study=study)])
    assign(node, "order", studies, blinded=False, priority=9)
    orders = []
    for name in ("ada", "ben"):
        tasks = node.as_(name).get("/api/reading/worklist").json()["tasks"]
        orders.append([task["imaging_study"] for task in tasks if task["list"] == "order"])
    assert orders[0] != orders[1]
    assert sorted(orders[0]) == sorted(orders[1]) == sorted(uid(study) for study in studies)


def test_time_per_case_is_from_opening_to_signing_without_pauses(node: Node) -> None:
    begun = datetime(2026, 1, 1, 9, tzinfo=UTC)

    def events(*minutes: tuple[str, float]) -> list[Event]:
        return [Event(kind, begun + timedelta(minutes=at)) for kind, at in minutes]

    assert case_time(events(("open", 0), ("save", 2), ("save", 60), ("sign", 61))) == CaseTime(3660, 180)
    assert case_time(events(("open", 0), ("save", 2))) is None
    assert case_time(events(("sign", 0))) is None
    # An amendment long after is not this reading any more.
    assert case_time(events(("open", 0), ("sign", 1), ("open", 99), ("sign", 100))) == CaseTime(60, 60)
    archive = node.client.app.state.archive
    archive.store([deidentified(item) for item in ct_series(np.zeros((1, 4, 4), np.int16), study=51)])
    assign(node, "timed", [51], blinded=False, priority=1, due_on="2020-01-31")
    ada = node.as_("ada")
    html = {"Accept": "text/html"}
    assert ada.get("/reading/worklist", headers=html).text.count("overdue") == 1
    page = ada.get(f"/reading/series/{uid(51, 1)}?list=timed", headers={"Accept": "text/html"})
    assert page.status_code == 200
    sign(ada, 51)
    assert "overdue" not in ada.get("/reading/worklist", headers=html).text
    (found,) = node.as_("eve").get("/api/reading/worklists/timed/times").json()["readers"]
    assert (found["reader"], found["cases"]) == ("ada", 1)
    assert 0 <= found["median_active_s"] <= found["median_elapsed_s"] < 60
    text = node.client.get("/reading/lists/timed", headers={"Accept": "text/html"}).text
    assert "Time per case" in text
    assert node.as_("ada").get("/api/reading/worklists/timed/times").status_code == 403
