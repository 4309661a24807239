"""Rights per research study: who is limited finds, reads and stores only what was granted."""

from __future__ import annotations

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.http import router
from racoon.node.archive.service import Archive
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database
from racoon.platform.http import create_app
from tests.dicom_objects import ct_series, deidentified, uid

CLOSED: set[str] = set()
"""Studies whose images the site's decisions do not allow anybody to look at now."""

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (2, 16, 12)).astype(np.int16)


@pytest.fixture
def app(archive: Archive, database: Database) -> FastAPI:
    for study in (1, 2, 3):
        archive.store(
            [deidentified(item) for item in ct_series(VOXELS, study=study, subject=f"SUBJ-{study}")]
        )
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    for name, roles in (("rita", [Role.READER]), ("ana", [Role.DATA_MANAGER, Role.READER])):
        accounts.create(database, name, "a long enough password", roles)
    app.state.archive, app.state.audit = archive, AuditLog("node")
    app.state.image_access = app.state.image_grants = ImageAccess(
        database, app.state.audit, lambda _connection, study_id: study_id not in CLOSED
    )
    app.state.series_of_study = {"S1": [uid(2, 1)], "S2": [uid(2, 1), uid(3, 1)]}.__getitem__
    app.include_router(router)
    return app


def signed_in(app: FastAPI, name: str) -> TestClient:
    client = TestClient(app)
    answer = client.post("/api/session", json={"username": name, "password": "a long enough password"})
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


def studies(client: TestClient) -> list[str]:
    answer = client.get("/dicom-web/studies")
    return [item["0020000D"]["Value"][0] for item in answer.json()] if answer.status_code == 200 else []


def test_a_reader_sees_the_images_of_her_studies_only(app: FastAPI, database: Database) -> None:
    rita, ana = signed_in(app, "rita"), signed_in(app, "ana")
    assert studies(rita) == []
    assert studies(ana) == [uid(1), uid(2), uid(3)]
    assert ana.put("/api/archive/grants/rita/S1").json() == {"imaging_studies": 1}
    assert studies(rita) == [uid(2)]
    assert ana.put("/api/archive/grants/rita/S2").json() == {"imaging_studies": 2}
    assert studies(rita) == [uid(2), uid(3)]
    # What two studies share stays while one of them is left.
    assert ana.delete("/api/archive/grants/rita/S2").json() == {"imaging_studies": 2}
    assert studies(rita) == [uid(2)]
    listed = ana.get("/api/archive/grants").json()
    assert [(item["user_name"], item["study_id"], item["granted_by"]) for item in listed] == [
        ("rita", "S1", "ana")
    ]
    assert rita.put("/api/archive/grants/rita/S2").status_code == 403
    with database.connect() as connection:
        actions = [entry.action for entry in AuditLog("node").entries(connection, 20, None)]
    assert actions.count("image.grant") == 2
    assert actions.count("image.revoke") == 1


def test_every_route_hides_what_was_not_granted(app: FastAPI) -> None:
    rita, ana = signed_in(app, "rita"), signed_in(app, "ana")
    ana.put("/api/archive/grants/rita/S1")
    for study, status in ((1, 404), (2, 200)):
        names = {
            "study": uid(study),
            "series": uid(study, 1),
            "instance": uid(study, 1, 1),
            "frames": 1,
            "frame": 1,
            "tag": "7FE00010",
        }
        paths = app.openapi()["paths"]
        checked = 0
        for path, methods in paths.items():
            if (
                "get" not in methods
                or "{" not in path
                or not path.startswith(("/dicom-web/", "/api/archive/series"))
            ):
                continue
            answer = rita.get(path.format(**names))
            is_search = path.endswith(("/series", "/instances"))
            expected = {404: 204, 200: 200}[status] if is_search else status
            assert answer.status_code == expected, path
            checked += 1
        assert checked >= 20


def test_a_grant_opens_nothing_while_the_site_s_decisions_do_not_allow_it(
    app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    rita, ana = signed_in(app, "rita"), signed_in(app, "ana")
    ana.put("/api/archive/grants/rita/S1")
    ana.put("/api/archive/grants/rita/S2")
    image = f"/dicom-web/studies/{uid(2)}/series/{uid(2, 1)}/instances/{uid(2, 1, 1)}"
    monkeypatch.setitem(globals(), "CLOSED", {"S2"})
    assert studies(rita) == [uid(2)]
    assert rita.get(image).status_code == 200
    monkeypatch.setitem(globals(), "CLOSED", {"S1", "S2"})
    assert studies(rita) == []
    assert rita.get(image).status_code == 404
    assert studies(ana) == [uid(1), uid(2), uid(3)]


def test_a_rebuild_of_the_index_keeps_the_rights(app: FastAPI, archive: Archive) -> None:
    rita, ana = signed_in(app, "rita"), signed_in(app, "ana")
    ana.put("/api/archive/grants/rita/S2")
    archive.reindex()
    assert sorted(studies(rita)) == [uid(2), uid(3)]


def test_series_of_a_study_are_granted_in_pieces(
    app: FastAPI, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("racoon.node.archive._store.MOST_PARAMETERS", 1)
    access: ImageAccess = app.state.image_access
    series = [uid(1, 1), uid(2, 1), uid(3, 1), uid(4, 1)]
    assert access.grant("rita", "S3", series, actor="ana", actor_role="data_manager") == 3
