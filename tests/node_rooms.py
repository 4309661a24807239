"""A node in one process: all its rooms on a real database and folder, enrolled in a network that is not there."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import PatientId, Pseudonym
from racoon.node.app.administration import prepare
from racoon.node.app.erasing import settlement
from racoon.node.app.pages import build_app
from racoon.node.app.permission import open_consent
from racoon.node.app.rooms import Rooms, open_pseudonyms
from racoon.node.archive.model import DeidentifiedInstance
from racoon.node.consent.model import basis_of
from racoon.node.settings import load_node_settings
from racoon.platform import clock
from racoon.platform.auth import AccountStore
from racoon.platform.certificates import public_key_text
from tests.dicom_objects import ct_series, deidentified, segmentation

PASSWORD = "correct horse battery"


def planted(number: int) -> str:
    """Words in every image of a study, as plain text in its header: what must be gone could be found before."""
    return f"PLANTED-WORDS-OF-IMAGE-{number:03d}"


VOXELS = np.random.default_rng(3).integers(-1000, 1200, (4, 16, 16)).astype(np.int16)


@dataclass
class NodeInProcess:
    """A node.

    Parameters
    ----------
    folder
        Where everything of it lies.
    more
        Further lines of its settings.
    """

    folder: Path
    central_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    site: str = "ALPHA"
    more: str = ""

    def __post_init__(self) -> None:
        config = self.folder / "node.toml"
        self.folder.mkdir(parents=True, exist_ok=True)
        config.write_text(
            f'site = "{self.site}"\ndata_directory = "{self.folder / "data"}"\n{self.more}\n',
            encoding="utf-8",
        )
        self.config = config
        self.settings = load_node_settings(config)
        prepare(self.settings)
        self.settings.identity_folder.mkdir(parents=True, exist_ok=True)
        network = {
            "site": self.site,
            "nodes_url": "https://127.0.0.1:1",
            "network": "test",
            "central_signing_key": public_key_text(self.central_key),
        }
        (self.settings.identity_folder / "network.json").write_text(json.dumps(network), encoding="utf-8")
        self.rooms = Rooms(self.settings)
        self.names = open_pseudonyms(self.settings)
        self.consent = open_consent(
            self.settings, self.rooms.database, self.rooms.audit, names=self.names, jobs=self.rooms.jobs
        )
        self.settlement = settlement(self.rooms, self.names)
        self.app: FastAPI = build_app(self.rooms)
        # No CENTRAL ever gave this node a certificate.
        self.app.state.certificate_expires_at = lambda: clock.now() + timedelta(days=90)

    def close(self) -> None:
        """Close the databases."""
        self.names.close()
        self.rooms.database.dispose()

    def person(self, *roles: str) -> TestClient:
        """Return a browser of somebody with some roles."""
        accounts, name = AccountStore("node"), "-".join(roles)
        user = accounts.create(self.rooms.database, name, PASSWORD, roles)
        client = TestClient(self.app)
        token = accounts.open_session(self.rooms.database, user).token
        client.headers["Authorization"] = f"Bearer {token}"
        return client

    def subject(self, patient: str) -> Pseudonym:
        """Return a patient's pseudonym in the archive."""
        return self.names.pseudonym(PatientId(patient))

    def images(self, number: int, subject: Pseudonym, day: str = "20240131") -> list[DeidentifiedInstance]:
        """Make a CT of four slices and a mask of the liver."""
        source = ct_series(VOXELS, study=number, subject=str(subject), SeriesDescription=planted(number))
        for item in source:
            item.StudyDate = day
        masks = np.zeros((*VOXELS.shape, 1), np.bool_)
        masks[1:3, 4:12, 4:12, 0] = True
        drawn = segmentation(source, masks, [("10200004", "SCT", "Liver")])
        return [deidentified(item, {"note": planted(number)}) for item in (*source, drawn)]

    def store(self, number: int, patient: str, day: str = "20240131") -> Pseudonym:
        """Store a patient's CT and mask."""
        subject = self.subject(patient)
        self.rooms.archive.store(self.images(number, subject, day))
        return subject

    def rely_on(self, study_id: str = ARCHIVE, **more: Any) -> str:
        """Record a legal basis; returns its id."""
        words = {"kind": "synthetic", "document": "invented people", "scope": "all", "approved_by": "A. Amt"}
        with self.rooms.database.begin() as connection:
            basis = basis_of({"study_id": study_id, **words, **more})
            return self.consent.record_basis(connection, basis, actor="test", actor_role="test").basis_id

    def withdraw(self, subject: Pseudonym, scope: str = "") -> None:
        """Take a subject's withdrawal down."""
        with self.rooms.database.begin() as connection:
            self.rooms.consent.withdraw(
                connection,
                subject,
                scope,
                reason="asked for",
                source="manual",
                actor="test",
                actor_role="test",
            )

    def routes(self) -> Iterator[tuple[str, str]]:
        """Yield method and path of every route, pages and API."""
        yield from sorted(set(_walk(self.app.routes, "")))


def _walk(routes: Any, prefix: str) -> Iterator[tuple[str, str]]:
    for route in routes:
        if isinstance(route, APIRoute):
            for method in route.methods or ():
                yield method, prefix + route.path
        elif hasattr(route, "original_router"):
            inner = getattr(route, "include_context", None)
            yield from _walk(route.original_router.routes, prefix + getattr(inner, "prefix", ""))
