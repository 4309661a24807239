"""Protocols over HTTP: versions, lists from a dataset, sharing out, blinding to machines, handing cases over."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pydicom
import pytest

from racoon.domain.identity import Role
from racoon.node.reading.work.model import ReadingTask
from racoon.node.reading.work.service import Work
from racoon.standards.dicom.colour import colour_of
from tests.dicom_objects import ct_series, deidentified, segmentation, uid
from tests.unit.node.reading.test_findings_and_reports import PASSWORD, Node, new, node
from tests.unit.node.reading.test_work import sign

__all__ = ["node"]

STUDIES = list(range(71, 77))
PROTOCOL = """
name: lung
version: 1
template: urn:racoon:questionnaire:thorax-short
series: {modality: CT, words: [lung], thickest_mm: 3}
hanging: {window: Lung, layout: planes}
readers: 2
adjudication: true
blinding: {readers: true, machines: true}
labels:
  - {code: "SCT:39607008", english: Lung, german: Lungenflügel, colour: "#12ab34", also: ["RADLEX:RID1301"]}
  - {code: "99STUDY:SOLID", english: Solid part, german: Solider Anteil}
"""
LISTS = "/api/reading/worklists/shared"
WANTED = {"protocol": "lung|1", "study": "PROJ-1", "readers": ["ada", "ben", "di"]}


@pytest.fixture(scope="module")
def planned(node: Node) -> Node:
    """Six examinations of two series each, a stored mask on the first, two more people, a frozen dataset."""
    state: Any = node.client.app.state  # type: ignore[attr-defined] # a FastAPI application
    volume = np.zeros((4, 6, 6), np.int16)
    masks = np.zeros((4, 6, 6, 1), np.bool_)
    masks[1, 2:4, 2:4, 0] = True
    series = []
    for study in STUDIES:
        soft = ct_series(volume, study=study, SeriesDescription="Soft tissue", SliceThickness=1)
        lung = ct_series(volume, study=study, series=2, SeriesDescription="Lung 2.5", SliceThickness=2.5)
        thick = ct_series(volume, study=study, series=3, SeriesDescription="Lung 5", SliceThickness=5)
        made = [segmentation(lung, masks, [("39607008", "SCT", "Lung")])] if study == STUDIES[0] else []
        state.archive.store([deidentified(item) for item in [*soft, *lung, *thick, *made]])
        series += [uid(study, 1), uid(study, 2), uid(study, 3)]
    for name in ("cy", "di"):
        state.accounts.create(node.database, name, PASSWORD, [Role.READER])
    state.series_of_study = lambda _study: [*series, uid(1, 1)]
    state.study_choices = lambda: [("PROJ-1", "Lungs of six people")]
    return node


@pytest.fixture(scope="module")
def protocol(planned: Node) -> Node:
    """The protocol is written."""
    answer = planned.as_("eve").post("/api/reading/protocols", json={"document": PROTOCOL})
    assert answer.status_code == 200
    return planned


@pytest.fixture(scope="module")
def shared(protocol: Node) -> Node:
    """A list of its cases is made."""
    answer = protocol.as_("eve").post(f"{LISTS}/from-protocol", json=WANTED | {"adjudicator": "cy"})
    assert answer.status_code == 200, answer.text
    return protocol


def test_versions_stay_and_mistakes_are_said(planned: Node) -> None:
    eve = planned.as_("eve")
    assert eve.post("/api/reading/protocols", json={"document": PROTOCOL}).status_code == 200
    again = eve.post("/api/reading/protocols", json={"document": PROTOCOL})
    assert again.json()["name"] == "lung"
    changed = eve.post("/api/reading/protocols", json={"document": PROTOCOL.replace("3}", "4}")})
    assert changed.json()["code"] == "reading.protocol_is_fixed"
    page = {"Accept": "text/html", "Accept-Language": "de"}
    answer = eve.post("/reading/protocols/new", data={"text": "readers: [1"}, headers=page)
    assert "weder YAML noch JSON" in answer.text
    answer = eve.post("/reading/protocols/new", data={"text": "name: x\nversion: 1\nreders: 2"}, headers=page)
    assert answer.status_code == 400
    assert "reders gehört nicht zu einem Protokoll" in answer.text
    assert "template fehlt." in answer.text
    assert "lung|1" in eve.get("/reading/lists", headers=page).text
    assert planned.as_("ada").post("/api/reading/protocols", json={"document": PROTOCOL}).status_code == 403


def test_a_list_is_made_from_a_dataset_and_shared_out(protocol: Node) -> None:
    eve = protocol.as_("eve")
    refused = eve.post(f"{LISTS}/from-protocol", json=WANTED)
    assert refused.json()["code"] == "reading.bad_assignment"
    assert eve.post(f"{LISTS}/from-protocol", json=WANTED | {"adjudicator": "eve"}).status_code == 422
    form = {"step": "look", "protocol": "lung|1", "study": "PROJ-1", "readers": ["ada", "ben", "di"]}
    looked = eve.post("/reading/lists/new", data=form, headers={"Accept": "text/html"}).text
    # The examination of the fixture has no lung series: it is said, not silently dropped.
    assert "<strong>6</strong>" in looked
    assert "<strong>1</strong>" in looked
    made = eve.post(f"{LISTS}/from-protocol", json=WANTED | {"adjudicator": "cy"}).json()
    assert (made["added"], made["cases"], made["left_out"]) == (18, 6, [uid(1)])
    tasks = tasks_of(protocol)
    assert {task.series_uid for task in tasks} == {uid(study, 2) for study in STUDIES}
    readings = [task.reader for task in tasks if task.duty == "read"]
    assert sorted(map(readings.count, ("ada", "ben", "di"))) == [4, 4, 4]
    assert {task.reader for task in tasks if task.duty == "adjudicate"} == {"cy"}
    again = eve.post(f"{LISTS}/from-protocol", json=WANTED | {"adjudicator": "cy"}).json()
    assert again["added"] == 0


def tasks_of(planned: Node) -> list[ReadingTask]:
    state: Any = planned.client.app.state  # type: ignore[attr-defined] # a FastAPI application
    return Work(planned.database, state.audit, state.archive).tasks("shared")


def test_an_unfinished_case_goes_over_with_what_was_begun(shared: Node) -> None:
    study = STUDIES[0]
    case = [task for task in tasks_of(shared) if task.imaging_study_uid == uid(study) and task.duty == "read"]
    first, second = sorted(task.reader for task in case)
    (third,) = {"ada", "ben", "di"} - {first, second}
    client = shared.as_(first)
    room = client.get(f"/reading/series/{uid(study, 2)}?list=shared", headers={"Accept": "text/html"}).text
    assert '"template":"urn:racoon:questionnaire:thorax-short"' in room or "plain" in room
    # Blinded to machines: the stored mask is in no list, and no route of the archive gives it.
    assert uid(study, 50, 1) not in room
    assert uid(study, 50, 1) not in client.get(f"/dicom-web/studies/{uid(study)}/instances").text
    assert uid(study, 50, 1) in shared.as_(third).get(f"/dicom-web/studies/{uid(study)}/instances").text
    client = shared.as_(first)
    place = {"imaging_study": uid(study), "series": uid(study, 2), "instance": uid(study, 2, 2)}
    points = [[-20.0, -30.0, 102.5], [-18.0, -28.0, 102.5]]
    finding = new(client, **place, frame_of_reference=uid(study, 9999), points_mm=points)
    report = f"/api/reading/imaging-studies/{uid(study)}/report"
    begun = client.post(f"{report}/normal?based_on=0").json()
    address = f"{LISTS}/cases/{uid(study)}/hand-over"
    eve = shared.as_("eve")
    assert (
        eve.post(address, json={"reader": first, "to": second}).json()["code"] == "reading.cannot_hand_over"
    )
    assert eve.post(address, json={"reader": first, "to": "eve"}).json()["code"] == "reading.bad_assignment"
    moved = eve.post(address, json={"reader": first, "to": third}).json()
    assert moved == {"tasks": 1, "reports": 1, "drawings": 0, "findings": 1}
    client = shared.as_(third)
    taken = client.get(report).json()
    assert (taken["id"], taken["author"]) == (begun["id"], third)
    assert client.get(f"/api/reading/findings/{finding['id']}").json()["author"] == third
    sign(client, study)
    gone = shared.as_(first)
    assert uid(study) not in [
        task["imaging_study"] for task in gone.get("/api/reading/worklist").json()["tasks"]
    ]
    assert gone.get(report).json()["revision"] == 0
    done = shared.as_("eve").post(address, json={"reader": third, "to": first}).json()
    assert done["code"] == "reading.cannot_hand_over"
    assert shared.audited("reading.hand_over") == 1
    page = shared.as_("eve").get("/reading/lists/shared", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert page.text.count("/hand-over") == 17


def test_a_reader_hands_an_own_case_over(shared: Node) -> None:
    mine = next(task for task in tasks_of(shared) if task.reader == "di" and task.done_at is None)
    case = {task.reader for task in tasks_of(shared) if task.imaging_study_uid == mine.imaging_study_uid}
    (to,) = {"ada", "ben", "di"} - case
    di = shared.as_("di")
    form = {"list_name": "shared", "study": mine.imaging_study_uid, "to": to}
    assert di.post("/reading/worklist/hand-over", data=form, follow_redirects=False).status_code == 303
    assert mine.imaging_study_uid not in di.get("/api/reading/worklist").text
    assert di.post("/reading/worklist/hand-over", data=form).status_code == 404


def test_the_protocols_labels_are_drawn_with_their_names_codes_and_colours(shared: Node) -> None:
    mine = next(task for task in tasks_of(shared) if task.duty == "read" and task.done_at is None)
    client = shared.as_(mine.reader)
    place = f"/api/reading/series/{mine.series_uid}/drawing"
    german = {"Accept-Language": "de"}
    labels = client.get(f"{place}?list=shared", headers=german).json()["labels"]
    assert labels[0] == ["SCT:39607008", "Lungenflügel", "#12ab34"]
    assert labels[1][:2] == ["99STUDY:SOLID", "Solider Anteil"]
    refused = client.post(f"{place}/segments?based_on=0&label=SCT:27925004&list=shared")
    assert refused.json()["code"] == "reading.bad_drawing"
    made = client.post(f"{place}/segments?based_on=0&label=SCT:39607008&list=shared", headers=german).json()
    assert [made["segments"][0][key] for key in ("name", "colour")] == ["Lungenflügel", "#12ab34"]
    stroke = [{"segment": 1, "slice": 1, "runs": [7, 3]}]
    saved = client.patch(f"{place}?based_on={made['revision']}", json=stroke).json()
    stored = client.post(f"{place}/finish?based_on={saved['revision']}").json()["instance"]
    archive: Any = shared.client.app.state.archive  # type: ignore[attr-defined] # a FastAPI application
    header = pydicom.dcmread(io.BytesIO(archive.read_object(archive.instance(stored))))
    (segment,) = header.SegmentSequence
    (code,) = segment.SegmentedPropertyTypeCodeSequence
    assert [item.CodeValue for item in code.EquivalentCodeSequence] == ["RID1301"]
    assert colour_of(segment.RecommendedDisplayCIELabValue) == "#12ab34"
    legend = client.get(f"/api/reading/series/{mine.series_uid}").json()["segments"]
    assert [f"{stored}:1", "#12ab34"] in [entry[:2] for entry in legend]
