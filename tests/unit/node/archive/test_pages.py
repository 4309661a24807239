"""Pages of the archive: browse with what is known of a series, delete with a second person, let people in."""

from __future__ import annotations

import re

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive import _store
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.assessing import Assessor
from racoon.node.archive.deletion import Deletions
from racoon.node.archive.http import router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database
from racoon.platform.http import create_app
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series, deidentified, uid
from tests.unit.node.archive.test_assessing import dose

PASSWORD = "a long enough password"
VOXELS = np.random.default_rng(5).integers(-1000, 1200, (12, 16, 12)).astype(np.int16)
PEOPLE = {
    "ana": [Role.DATA_MANAGER],
    "ida": [Role.SITE_INFORMATICIAN],
    "dora": [Role.DPO],
    "rita": [Role.READER],
}
CLOSED: set[str] = set()


@pytest.fixture
def app(archive: Archive, database: Database, objects: LocalFolder) -> FastAPI:
    for study in (1, 2):
        slices = ct_series(VOXELS, study=study, subject=f"SUBJ-{study}")
        archive.store(
            [deidentified(item) for item in (*slices[: 12 - study], dose(study, 1, 77.27 * study, "1"))]
        )
    while Assessor(archive, quiet_s=0).run_once():
        pass
    app = create_app("node", "0", login_path="/login")
    accounts = install_accounts(app, "node", database)
    for name, roles in PEOPLE.items():
        accounts.create(database, name, PASSWORD, roles)
    install_pages(app, site=Site("ALPHA", "Site Alpha"), navigation=())
    app.state.archive, app.state.audit = archive, AuditLog("node")
    app.state.image_access = app.state.image_grants = ImageAccess(
        database, app.state.audit, lambda _connection, study_id: study_id not in CLOSED
    )
    app.state.series_of_study = {"S1": [uid(2, 1)]}.__getitem__
    app.state.study_choices = lambda: [("S1", "Lung nodules")]
    app.state.deletions = Deletions(database, objects, app.state.audit)
    app.include_router(router)
    return app


def signed_in(app: FastAPI, name: str, language: str = "en") -> TestClient:
    client = TestClient(app, headers={"accept-language": language}, follow_redirects=False)
    token = client.post("/api/session", json={"username": name, "password": PASSWORD}).json()["token"]
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {token}"
    return client


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("en", ("DLP 77.27 mGy·cm", "volume · axial", "The slices are no regular volume")),
        ("de", ("DLP 77,27 mGy·cm", "Volumen · axial", "Die Schichten bilden kein regelmäßiges Volumen")),
    ],
)
def test_browser_shows_dose_class_and_what_is_wrong(
    app: FastAPI, archive: Archive, language: str, words: tuple[str, ...]
) -> None:
    slices = ct_series(VOXELS, study=3, subject="SUBJ-3")
    archive.store([deidentified(item) for number, item in enumerate(slices) if number != 4])
    while Assessor(archive, quiet_s=0).run_once():
        pass
    page = re.sub(r"\s+", " ", signed_in(app, "ana", language).get("/archive").text)
    for word in words:
        assert word in page


def test_browser_filters_by_dose_class_and_quality(app: FastAPI) -> None:
    ana = signed_in(app, "ana")

    def shown(**filters: str) -> set[str]:
        page = ana.get("/archive", params=filters)
        assert page.status_code == 200
        return set(re.findall(r"SUBJ-\d", page.text))

    assert shown() == {"SUBJ-1", "SUBJ-2"}
    assert shown(dose_from="100") == {"SUBJ-2"}
    assert shown(dose_from="77,0", dose_to="80") == {"SUBJ-1"}
    assert shown(dose_from="nonsense") == {"SUBJ-1", "SUBJ-2"}
    assert shown(kind="volume", plane="axial") == {"SUBJ-1", "SUBJ-2"}
    assert shown(kind="localiser") == set()
    assert shown(day_from="2024-02-01") == set()


def test_assessment_is_read_by_whom_the_images_are_open_to(app: FastAPI) -> None:
    found = signed_in(app, "ana").get(f"/api/archive/series/{uid(1, 1)}/assessment").json()
    assert (found["assessment"]["kind"], found["dose"]["dlp_mgy_cm"]) == ("volume", 77.27)
    assert [item["severity"] for item in found["quality"]] == sorted(
        item["severity"] for item in found["quality"]
    )
    assert signed_in(app, "rita").get(f"/api/archive/series/{uid(1, 1)}/assessment").status_code == 404


def test_a_deletion_goes_from_the_reason_to_the_proof(app: FastAPI, archive: Archive) -> None:
    ana, dora = signed_in(app, "ana"), signed_in(app, "dora", "de")
    assert f"/deletions/new?imaging_study={uid(1)}" in ana.get("/archive").text
    form = ana.get(f"/deletions/new?imaging_study={uid(1)}")
    assert "12 instances would go." in form.text
    wrong = ana.post("/deletions", data={"imaging_study": "1.2.3", "reason": "mistake"})
    assert (wrong.status_code, "There is no such object" in wrong.text) == (400, True)
    assert ana.post("/deletions", data={"imaging_study": "no uid", "reason": "x"}).status_code == 400
    assert ana.post("/deletions", data={"imaging_study": uid(1), "reason": " "}).status_code == 400
    asked = ana.post("/deletions", data={"imaging_study": uid(1), "reason": "sent by mistake"})
    address = asked.headers["location"]
    # Who asked does not confirm: neither a button nor the request behind it.
    assert "Delete for good" not in ana.get(address).text
    assert ana.post(f"{address}/decision", data={"confirm": "true"}).status_code == 400
    assert "Endgültig löschen" in dora.get(address).text
    assert archive.counts().imaging_studies == 2
    assert dora.post(f"{address}/decision", data={"confirm": "true"}).status_code == 303
    assert archive.counts().imaging_studies == 1
    page = dora.get(address).text
    assert "Der Nachweis ist unverändert" in page
    assert "sent by mistake" in page
    assert page.count(uid(1, 1, 1)) >= 1
    assert ana.post(f"{address}/decision", data={"confirm": "true"}).status_code == 400, "decided already"
    assert "sent by mistake" in ana.get("/deletions?state=done").text
    assert "sent by mistake" not in ana.get("/deletions?state=waiting").text


def test_a_proof_that_was_changed_is_said_to_be(app: FastAPI, database: Database) -> None:
    ana, dora = signed_in(app, "ana"), signed_in(app, "dora")
    address = ana.post("/deletions", data={"imaging_study": uid(1), "reason": "mistake"}).headers["location"]
    dora.post(f"{address}/decision", data={"confirm": "true"})
    with database.begin() as connection:
        (proof,) = connection.execute(
            _store.deletions.select().with_only_columns(_store.deletions.c.proof)
        ).scalars()
        connection.execute(_store.deletions.update().values(proof={**proof, "reason": "another"}))
    assert "it was changed after it was written" in dora.get(address).text


def test_deletions_and_rights_are_for_those_who_may(app: FastAPI) -> None:
    for address in ("/deletions", "/deletions/new", "/archive/grants"):
        assert signed_in(app, "rita").get(address).status_code == 403
    ida = signed_in(app, "ida")
    address = ida.post("/deletions", data={"imaging_study": uid(1), "reason": "mistake"}).headers["location"]
    assert ida.post(f"{address}/decision", data={"confirm": "true"}).status_code == 403
    assert signed_in(app, "dora").get("/archive/grants").status_code == 403


def test_a_reader_is_let_in_and_out(app: FastAPI) -> None:
    ana, rita = signed_in(app, "ana"), signed_in(app, "rita")
    page = ana.get("/archive/grants").text
    assert '<option value="rita">' in page
    assert '<option value="ida">' not in page, "she sees all images anyway"
    assert '<option value="dora">' not in page, "no role of hers opens images"
    assert "SUBJ-2" not in rita.get("/archive").text
    for wrong in ({"user_name": "nobody", "study_id": "S1"}, {"user_name": "rita", "study_id": ""}):
        assert ana.post("/archive/grants", data=wrong).status_code == 400
    given = {"user_name": "rita", "study_id": "S1"}
    assert ana.post("/archive/grants", data=given).status_code == 303
    page = ana.get("/archive/grants").text
    assert "Lung nodules" in page
    assert "Take back the right of rita for S1" in page
    assert "SUBJ-2" in rita.get("/archive").text
    assert "SUBJ-1" not in rita.get("/archive").text
    CLOSED.add("S1")
    try:
        assert (
            "Entscheidungen des Standorts erlauben es jetzt nicht"
            in signed_in(app, "ana", "de").get("/archive/grants").text
        )
    finally:
        CLOSED.clear()
    assert ana.post("/archive/grants/revoke", data=given).status_code == 303
    assert "SUBJ-2" not in rita.get("/archive").text


def test_a_node_where_everybody_sees_all_says_so(app: FastAPI) -> None:
    app.state.image_access = None
    assert "archive.readers" in signed_in(app, "ana").get("/archive/grants").text
