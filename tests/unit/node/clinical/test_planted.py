"""Identifiers planted in images and in requests: none comes out of the FHIR facade, its errors, or its logs."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from starlette.testclient import TestClient

from racoon.domain.identity import Role
from racoon.node.approvals.service import Approvals
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.clinical.http import router
from racoon.node.clinical.model import TYPES, parse_search
from racoon.node.clinical.service import Facade
from racoon.node.deid.service import Deidentifier
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.database import Database, create_all
from racoon.platform.http import create_app
from racoon.standards.fhir.imaging import Writing
from racoon.standards.fhir.versions import VERSIONS
from tests.dicom_objects import ct_series, deidentified
from tests.planted_identifiers import leaked, make_ct

PASSWORD = "a long enough password"
LEAK = "LEAK4711 Zacharias"


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(found, "node")
    yield found
    found.dispose()


@pytest.fixture
def archive(database: Database, tmp_path: Path) -> Archive:
    return Archive(database, LocalFolder(tmp_path / "objects"))


@pytest.fixture
def facade(archive: Archive) -> Facade:
    approvals = Approvals(
        AuditLog("node"), lambda *_: None, Ed25519PrivateKey.generate(), feasibility_enabled=True
    )
    return Facade(
        archive, approvals, Writing(VERSIONS["2026"], ZoneInfo("Europe/Berlin"), "urn:racoon", "urn:racoon")
    )


def everything(facade: Facade) -> str:
    return json.dumps(
        [resource for kind in TYPES for _, resource in facade.iterate(parse_search(kind, []))],
        ensure_ascii=False,
    )


def test_object_with_an_identifier_in_every_element(archive: Archive, facade: Facade) -> None:
    planted = make_ct()
    made = Deidentifier("basic", Pseudonymiser(None, None)).apply(planted.data)
    archive.store(
        [
            DeidentifiedInstance(
                bytes=made.dataset_bytes,
                sop_class_uid=made.sop_class_uid,
                sop_instance_uid=made.sop_instance_uid,
                series_uid=made.series_uid,
                imaging_study_uid=made.imaging_study_uid,
                pseudonym=made.pseudonym,
            )
        ]
    )
    said = everything(facade).encode()
    assert b'"ImagingStudy"' in said
    assert leaked(planted.markers, said) == []


def test_free_text_that_the_archive_holds_is_not_written(archive: Archive, facade: Facade) -> None:
    """Even where de-identification was told to keep descriptions, FHIR has no place for them."""
    for item in ct_series(np.zeros((2, 8, 8), np.int16), SeriesDescription=LEAK, ProtocolName=LEAK):
        item.StudyDescription = item.AccessionNumber[:0] + LEAK[:16]
        item.StationName = item.InstitutionName = item.StudyID = LEAK[:16]
        item.PatientName = LEAK
        item.ConvolutionKernel = "Zacharias*1950"  # an SH holds 16 characters
        archive.store([deidentified(item)])
    said = everything(facade)
    assert '"ImagingStudy"' in said
    assert "LEAK" not in said
    assert "Zacharias" not in said


@pytest.fixture
def client(database: Database, facade: Facade) -> TestClient:
    app: FastAPI = create_app("node", "0")
    accounts = install_accounts(app, "node", database)
    accounts.create(database, "informatician", PASSWORD, [Role.SITE_INFORMATICIAN])
    app.state.database, app.state.audit, app.state.fhir = database, AuditLog("node"), facade
    app.include_router(router)
    client = TestClient(app)
    answer = client.post("/api/session", json={"username": "informatician", "password": PASSWORD})
    client.cookies.clear()
    client.headers["Authorization"] = f"Bearer {answer.json()['token']}"
    return client


@pytest.mark.parametrize(
    "address",
    [
        f"ImagingStudy?{LEAK}=1",
        f"ImagingStudy?started={LEAK}",
        f"ImagingStudy?_lastUpdated={LEAK}",
        f"ImagingStudy?_count={LEAK}",
        f"ImagingStudy?_include={LEAK}",
        f"ImagingStudy?_page={LEAK}",
        f"{LEAK}/1",
        f"{LEAK}",
        f"Patient/{LEAK}",
        f"$export?_type={LEAK}",
        f"$export?_since={LEAK}",
        f"$export-status/{LEAK}",
    ],
)
def test_refusals_quote_nothing(client: TestClient, address: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = client.get(f"/fhir/{address}")
    assert answer.status_code >= 400
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("racoon")]
    assert "LEAK" not in answer.text + " ".join(ours)
