"""One node's intake on a temporary folder, with the real archive and the real rules behind it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.deid.service import Deidentifier
from racoon.node.intake.service import IngestLoop, Intake, count_stored, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all


@dataclass
class Node:
    folder: Path
    database: Database
    spool: Spool
    archive: Archive
    deidentifier: Deidentifier
    intake: Intake

    def loop(self, **options: int) -> IngestLoop:
        """A fresh loop, as a restarted process has it."""
        return IngestLoop(
            self.spool,
            self.deidentifier,
            self.archive,
            self.database,
            quarantine=self.folder / "quarantine",
            **options,
        )


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    database = Database(f"sqlite:///{tmp_path}/node.sqlite")
    create_all(database, "node")
    spool = Spool(spool_folder(tmp_path))
    archive = Archive(database, LocalFolder(tmp_path / "objects"), on_stored=[count_stored])
    names = Pseudonymiser(tmp_path / "keys" / "pseudonyms.json", f"sqlite:///{tmp_path}/mapping.sqlite")
    intake = Intake(database, spool, tmp_path / "quarantine", AuditLog("node"))
    yield Node(tmp_path, database, spool, archive, Deidentifier("basic", names), intake)
    names.close()
    database.dispose()
