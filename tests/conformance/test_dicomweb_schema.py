"""Schemathesis makes requests from our OpenAPI document: no DICOMweb route may break, whatever it is asked."""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.archive.deletion import Deletions
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.http import router
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.intake.http import dicomweb as storing
from racoon.node.intake.service import Intake, spool_folder
from racoon.node.intake.spool import Spool
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from tests.dicom_objects import ct_series, deidentified, segmentation, uid

VOXELS = np.random.default_rng(5).integers(-1000, 1200, (2, 16, 12)).astype(np.int16)
PASSWORD = "a long enough password"
KNOWN = {"study": uid(1), "series": uid(1, 1), "instance": uid(1, 1, 1)}

EXAMPLES = 300 if os.environ.get("RACOON_ACCEPTANCE") else 4
"""Requests for each route, each asked twice."""

_shell = FastAPI()
_shell.include_router(router)
# Only reading and searching: what deletes or stores has tests with bodies that mean something.
schema = schemathesis.openapi.from_dict(_shell.openapi()).include(path_regex="^/dicom-web/", method="GET")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    folder = tmp_path_factory.mktemp("archive")
    database = Database(f"sqlite:///{folder}/node.sqlite")
    create_all(database, "node")
    objects = LocalFolder(folder / "objects")
    archive = Archive(database, objects)
    sources = ct_series(VOXELS)
    masks = np.ones((*VOXELS.shape, 1), np.bool_)
    seg = segmentation(sources, masks, [("39607008", "SCT", "Lung")])
    archive.store([deidentified(item) for item in [*sources, seg]])
    app = create_app("node", "0")
    install_accounts(app, "node", database).create(database, "ana", PASSWORD, [Role.DATA_MANAGER])
    app.state.archive, app.state.audit = archive, AuditLog("node")
    app.state.deletions = Deletions(database, objects, app.state.audit)
    app.state.derived = DerivedObjects(
        archive, lambda _: pytest.fail("nothing is stored here"), app.state.audit
    )
    app.state.intake = Intake(database, Spool(spool_folder(folder)), folder / "quarantine", app.state.audit)
    app.include_router(router)
    app.include_router(storing)
    with TestClient(app) as found:
        answer = found.post("/api/session", json={"username": "ana", "password": PASSWORD})
        found.cookies.clear()
        found.headers["Authorization"] = f"Bearer {answer.json()['token']}"
        yield found
    database.dispose()


@pytest.mark.timeout(3600)  # each route is one test of many requests
@schema.parametrize()
@settings(max_examples=EXAMPLES, deadline=None, derandomize=not os.environ.get("RACOON_ACCEPTANCE"))
def test_no_request_breaks_a_route(case: schemathesis.Case, client: TestClient) -> None:
    for known in ({}, KNOWN):
        # Invented UIDs name nothing; with those of the archive the other parameters reach the objects.
        case.path_parameters = {name: known.get(name, value) for name, value in case.path_parameters.items()}
        address = case.formatted_path
        answer = client.get(address, params=case.query or {})
        assert answer.status_code < 500, (address, case.query, answer.text[:300])
        if answer.status_code >= 400:
            assert answer.headers["content-type"] == "application/problem+json"


STORING = ("/dicom-web/studies", "/dicom-web/derived/studies", f"/dicom-web/derived/studies/{uid(1)}")

CONTENT_TYPES = (
    'multipart/related; type="application/dicom"; boundary=x',
    'multipart/related; type="application/dicom"',
    "multipart/related; boundary=",
    'multipart/related; type="application/dicom+json"; boundary=x',
    "application/dicom",
    "application/json",
    "text/plain",
    '"',
    "",
)
PIECES = st.sampled_from(
    (
        b"--x",
        b"--x--",
        b"\r\n",
        b"\r\n\r\n",
        b"Content-Type: application/dicom",
        b"DICM",
        b"\0" * 128,
        b": ",
        b"--",
    )
)
BODIES = st.lists(st.one_of(PIECES, st.binary(max_size=40)), max_size=12).map(b"".join)


@pytest.mark.timeout(3600)
@given(
    body=BODIES, content_type=st.sampled_from(CONTENT_TYPES), accept=st.sampled_from(("*/*", "text/html", ""))
)
@settings(
    max_examples=EXAMPLES * 4,
    deadline=None,
    derandomize=not os.environ.get("RACOON_ACCEPTANCE"),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@pytest.mark.parametrize("path", STORING)
def test_no_body_breaks_storing(
    client: TestClient, path: str, body: bytes, content_type: str, accept: str
) -> None:
    answer = client.post(path, content=body, headers={"content-type": content_type, "accept": accept})
    # What is no DICOM at all may still be taken: the rules behind the queue set it aside with its reason.
    lowest = 200 if path == STORING[0] else 400
    assert lowest <= answer.status_code < 500, (path, content_type, body, answer.text[:300])
