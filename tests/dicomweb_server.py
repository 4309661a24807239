"""A node's DICOMweb on a loopback port, with one archive, one account and a real connection."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from racoon.domain.identity import Role
from racoon.node.archive.derived import DerivedObjects
from racoon.node.archive.http import router
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.archive.service import Archive
from racoon.node.deid.derived import DerivedGate
from racoon.platform.audit import AuditLog
from racoon.platform.auth import install_accounts
from racoon.platform.http import create_app
from racoon.platform.http.serving import Listener, serve_in_thread

PASSWORD = "a long enough password"


@dataclass(frozen=True)
class DicomwebServer:
    """Where it answers, and with what a client shows who it is."""

    root: str
    token: str


@contextlib.contextmanager
def serving(archive: Archive, folder: Path) -> Iterator[DicomwebServer]:
    """Serve an archive's DICOMweb under ``/dicom-web``; derived objects are stored under ``/dicom-web/derived``."""
    gate = DerivedGate("basic", folder / "derived.key")

    def clean(data: bytes) -> DeidentifiedInstance:
        found = gate.apply(data)
        return DeidentifiedInstance(
            found.dataset_bytes,
            found.sop_class_uid,
            found.sop_instance_uid,
            found.series_uid,
            found.imaging_study_uid,
            found.pseudonym,
        )

    app = create_app("node", "0")
    accounts = install_accounts(app, "node", archive.database)
    accounts.create(archive.database, "rita", PASSWORD, [Role.READER])
    app.state.archive, app.state.audit = archive, AuditLog("node")
    app.state.derived = DerivedObjects(archive, clean, app.state.audit)
    app.include_router(router)
    with serve_in_thread([Listener(app, "127.0.0.1", 0)]) as (listener,):
        root = f"http://127.0.0.1:{listener.port}"
        answer = httpx.post(f"{root}/api/session", json={"username": "rita", "password": PASSWORD})
        yield DicomwebServer(root, answer.json()["token"])
