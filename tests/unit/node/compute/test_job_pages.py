"""The site's own page of trainings: limits and pauses by who may, pictures of failures for who sees all images."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from racoon.learning.gallery import save_pictures
from racoon.node.compute.failures import SERIES_OF_PICTURES
from racoon.node.compute.limits import Limits
from racoon.node.jobs import _store
from racoon.node.jobs.model import JobState
from racoon.platform import clock
from racoon.protocol.messages import JobOffer
from tests.node_rooms import NodeInProcess


@pytest.fixture
def node(tmp_path: Path) -> Any:
    found = NodeInProcess(tmp_path)
    with found.rooms.database.begin() as connection:
        for job_id, kind, state in (
            ("T1", "train.federated", JobState.RUNNING),
            ("E1", "evaluate", JobState.SUCCEEDED),
        ):
            offer = JobOffer(
                job_id=job_id,
                run_id="R1",
                study_id="S1",
                study_hash="0" * 64,
                kind=kind,
                plan_hash="1" * 64,
                content_hash="2" * 64,
                parameters={},
                not_after=clock.now() + timedelta(days=1),
            )
            _store.insert(connection, offer, state, "", "")
    yield found
    found.close()


def test_limits_and_pauses_are_set_by_those_who_may_stop_jobs(node: NodeInProcess) -> None:
    informatician, reader = node.person("site_informatician"), node.person("auditor")
    fields = {"hours": "2,5", "trainings": "1", "opens": "22:00", "closes": "06:00"}
    assert reader.post("/jobs/limits", data=fields).status_code == 403
    assert informatician.post("/jobs/limits", data=fields).status_code == 200
    with node.rooms.database.connect() as connection:
        assert node.app.state.training_limits.current(connection) == Limits(2.5, 1, "22:00", "06:00")
    for fields in ({"hours": "many"}, {"opens": "22:00"}, {"trainings": "0"}):
        assert informatician.post("/jobs/limits", data=fields).status_code in {403, 409, 422}
    page = informatician.get("/jobs").text
    assert 'value="22:00"' in page
    assert "/jobs/T1/pause" in page
    assert informatician.post("/jobs/T1/pause").status_code == 200
    assert node.rooms.jobs.is_paused("T1")
    page = informatician.get("/jobs", headers={"Accept-Language": "de"}).text
    assert "/jobs/T1/go-on" in page
    assert informatician.post("/api/jobs/T1/go-on").json() == {"job_id": "T1", "state": "running"}
    assert not node.rooms.jobs.is_paused("T1")


def test_pictures_of_failures_are_for_who_sees_all_images_and_looked_at_on_record(
    node: NodeInProcess,
) -> None:
    informatician, officer = node.person("site_informatician"), node.person("dpo")
    folder = node.settings.data_directory / "compute" / "runs" / "E1" / "worst"
    assert "/jobs/E1/worst" not in informatician.get("/jobs").text
    save_pictures(folder, [b"first", b"second"])
    assert "/jobs/E1/worst" in informatician.get("/jobs").text
    page = informatician.get("/jobs/E1/worst")
    assert page.text.count("/jobs/E1/worst/") == 2
    assert "Open the images" not in page.text
    (folder / SERIES_OF_PICTURES).write_text('["2.25.77", ""]', encoding="utf-8")
    page = informatician.get("/jobs/E1/worst")
    assert page.text.count("Open the images") == 1
    assert re.search(r'href="[^"]*/2\.25\.77"', page.text)
    picture = informatician.get("/jobs/E1/worst/1.png")
    assert (picture.content, picture.headers["content-type"]) == (b"second", "image/png")
    assert informatician.get("/jobs/E1/worst/2.png").status_code >= 400
    assert informatician.get("/jobs/T1/worst").status_code >= 400
    assert informatician.get("/jobs/..%2F..%2FE1/worst").status_code >= 400
    for path in ("/jobs/E1/worst", "/jobs/E1/worst/0.png"):
        assert officer.get(path).status_code == 403
    with node.rooms.database.connect() as connection:
        looks = node.rooms.audit.entries(connection, action="evaluation.look")
    assert [(entry.actor, entry.target) for entry in looks] == [("site_informatician", "job/E1")] * 2
