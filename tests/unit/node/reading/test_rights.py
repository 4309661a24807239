"""Where people are let into studies one by one, every route of the reading room hides the rest."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.access import ImageAccess
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.reading.http import router
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.web.pages import Site, install_pages
from tests.dicom_objects import ct_series, deidentified, uid
from tests.routes import api_routes
from tests.unit.node.archive.test_access import signed_in
from tests.unit.node.reading.test_findings_and_reports import document

FINDING = "3f0c1a52-6a7e-4a55-9a53-9a1f2d8a7b11"


@pytest.fixture
def app(tmp_path: Path) -> Iterator[FastAPI]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    archive = Archive(database, LocalFolder(tmp_path / "objects"))
    for study in (1, 2):
        slices = ct_series(np.zeros((3, 16, 16), np.int16), study=study, subject=f"SUBJ-{study}")
        archive.store([deidentified(item) for item in slices])
    app = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "rita", "a long enough password", [Role.READER])
    app.state.archive, app.state.audit = archive, AuditLog("node")
    access = ImageAccess(database, app.state.audit, lambda *_: True)
    access.grant("rita", "S1", [uid(1, 1)], actor="ana", actor_role="data_manager")
    app.state.image_access = access
    app.include_router(router)
    install_pages(app, site=Site("ALPHA", "Node ALPHA"), navigation=[])
    yield app
    database.dispose()


def finding_on(study: int) -> dict[str, Any]:
    changed = {"imaging_study": uid(study), "series": uid(study, 1), "instance": uid(study, 1, 2)}
    return document(frame_of_reference=uid(study, 9999)) | changed


ROUTES = {
    "/reading/series/{series}",
    "/api/reading/series/{series}",
    "/reading/series/{series}/overlays",
    "/reading/series/{series}/overlays/{index}",
    "/api/reading/series/{series}/drawing",
    "/api/reading/series/{series}/priors",
    "/api/reading/imaging-studies/{study}/findings",
    "/api/reading/imaging-studies/{study}/report",
    "/api/reading/imaging-studies/{study}/report/questionnaire-response",
    "/api/reading/imaging-studies/{study}/report/proposals",
    "/api/reading/imaging-studies/{study}/report/queries",
    "/api/reading/imaging-studies/{study}/report/versions",
    "/api/reading/imaging-studies/{study}/report/document",
    "/api/reading/imaging-studies/{study}/report/document.pdf",
    "/reading/findings/{finding_id}",
    "/api/reading/findings/{finding_id}",
    "/api/reading/instances/{instance}/header",
    "/api/reading/series/{series}/layers",
    "/api/reading/series/{series}/section",
    "/api/reading/series/{series}/centreline",
    "/reading/series/{series}/layers/{layer}/{index}",
    "/reading/series/{series}/layers/{layer}/volume",
}

ABSENT = {
    "/api/reading/series/{series}/centreline",
    "/reading/series/{series}/layers/{layer}/{index}",
    "/reading/series/{series}/layers/{layer}/volume",
}
"""What they lead to is not there: images that nobody was let into answer with the same words."""


WORK = {
    "/reading/worklist",
    "/reading/worklist/next",
    "/api/reading/worklist",
    "/api/reading/worklists/{name}",
    "/api/reading/worklists/{name}/agreement",
}
"""Routes about tasks; they show no image and no finding."""

DECIDING = {
    f"/api/reading/worklists/{{name}}/cases/{{study}}/{what}"
    for what in ("readings", "decision", "provenance")
}
"""Routes about a case of a list: for a case that is not there they answer as for images that are not there."""

PLANNING = {
    "/reading/lists",
    "/reading/lists/new",
    "/reading/lists/{name}",
    "/reading/protocols/new",
    "/api/reading/protocols",
    "/api/reading/worklists/{name}/answers",
    "/api/reading/worklists/{name}/times",
    "/api/reading/worklists/{name}/queries",
    "/reading/answers",
    "/reading/answers/cases",
    *(f"/api/reading/answers/{what}" for what in ("questions", "rows", "count", "cross")),
    "/reading/reference-sets",
    "/api/reading/reference-sets",
    "/api/reading/reference-sets/{name}",
}
"""Routes of those who make lists, who see all images anyway."""

AGREEMENT = {f"/reading/lists/{{name}}/agreement{what}" for what in ("", "/cases", "/picture")}
"""Of a whole list; cases that one may not see are left out, with their pictures."""

PRACTICE = {
    "/reading/practice",
    "/reading/practice/{attempt}/{study}",
    "/api/reading/practice",
    "/api/reading/practice/{attempt}/cases/{study}",
}
"""Of a reader's own attempts; nobody is invited to images that one may not see, and a result asks again."""

ANSWERS = {"/reading/answers", "/reading/answers/cases"} | {
    f"/api/reading/answers/{what}" for what in ("questions", "count", "cross", "rows")
}
"""Routes of those who analyse signed answers; they show no image."""

SECOND_VIEWER = {"/ohif", "/ohif/{path:path}"}
"""Files of a program, the same for everybody who may look at images; it asks the archive for those."""

TEMPLATES = {
    "/api/reading/templates",
    "/api/reading/templates/text",
    "/reading/templates",
    "/reading/templates/edit",
}
"""Routes of templates, which show no image and no answer."""


def address(route: str, study: int) -> str:
    found = route.format(
        series=uid(study, 1),
        study=uid(study),
        index=0,
        finding_id=FINDING,
        instance=uid(study, 1, 1),
        layer=uid(study, 7),
    )
    if route.endswith("section"):
        found += "?middle=-15,-25,102&normal=0,0,1"
    return f"{found}?segment=1.2:1" if route.endswith("centreline") else found


def test_the_list_of_routes_is_whole() -> None:
    assert {
        route.path for route in api_routes(router) if "GET" in route.methods
    } == ROUTES | WORK | DECIDING | PLANNING | AGREEMENT | PRACTICE | ANSWERS | SECOND_VIEWER | TEMPLATES


@pytest.mark.parametrize(
    "route", sorted(path for path in ROUTES if "finding_id" not in path and "document" not in path)
)
def test_only_granted_images_are_shown(app: FastAPI, route: str) -> None:
    rita = signed_in(app, "rita")
    assert rita.get(address(route, 1)).status_code == (404 if route in ABSENT else 200)
    assert rita.get(address(route, 2)).status_code == 404


def test_findings_follow_their_image(app: FastAPI) -> None:
    rita = signed_in(app, "rita")
    access = app.state.image_access
    access.grant("rita", "S2", [uid(2, 1)], actor="ana", actor_role="data_manager")
    place = f"/api/reading/findings/{FINDING}"
    saved = rita.put(place, json=finding_on(2))
    assert saved.status_code == 200, saved.text
    assert rita.get(place).status_code == 200
    access.revoke("rita", "S2", actor="ana", actor_role="data_manager")
    assert rita.get(place).status_code == 404
    assert rita.get(f"/reading/findings/{FINDING}", follow_redirects=False).status_code == 404
    assert rita.put(f"{place}?based_on=1", json=finding_on(2)).status_code == 404
    assert rita.delete(f"{place}?based_on=1").status_code == 404


@pytest.mark.parametrize(
    ("way", "method"),
    [
        ("", "put"),
        ("/normal", "post"),
        ("/sign", "post"),
        ("/file", "post"),
        ("/amend", "post"),
        ("/addendum", "post"),
        ("/document", "get"),
        ("/document.pdf", "get"),
    ],
)
def test_a_report_is_not_written_on_what_was_not_granted(app: FastAPI, way: str, method: str) -> None:
    rita: TestClient = signed_in(app, "rita")
    place = f"/api/reading/imaging-studies/{uid(2)}/report{way}?based_on=0"
    answer = rita.request(method, place, json={"reason": "x", "text": "x"} if way else [])
    assert answer.status_code == 404


DRAWING_WAYS: list[tuple[str, str, Any]] = [
    ("", "patch", []),
    ("/segments", "post", None),
    ("/segments/1", "put", None),
    ("/segments/1", "delete", None),
    ("/adopt", "post", None),
    ("/work", "post", {"operation": "clear", "segment": 1}),
    ("/finish", "post", None),
]


def test_nothing_is_drawn_on_what_was_not_granted(app: FastAPI) -> None:
    rita: TestClient = signed_in(app, "rita")
    query = "based_on=0&label=SCT:27925004&locked=true&segmentation=1.2"
    for way, method, body in DRAWING_WAYS:
        own, other = (
            rita.request(method, f"/api/reading/series/{uid(study, 1)}/drawing{way}?{query}", json=body)
            for study in (1, 2)
        )
        assert other.json().get("code") == "archive.not_found", way
        assert own.json().get("detail") != other.json()["detail"], way


@pytest.mark.parametrize("route", sorted(DECIDING))
@pytest.mark.parametrize("study", [1, 2])
def test_no_case_is_told_apart_from_images_that_are_not_there(app: FastAPI, route: str, study: int) -> None:
    client = signed_in(app, "rita")
    assert client.get(route.format(name="pilot", study=uid(study))).status_code == 404


@pytest.mark.parametrize("route", sorted(PLANNING))
def test_a_reader_plans_nothing(app: FastAPI, route: str) -> None:
    assert signed_in(app, "rita").get(route.format(name="pilot")).status_code == 403
