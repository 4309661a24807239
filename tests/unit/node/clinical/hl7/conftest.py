"""A hospital's way in for HL7 messages: inbox, door and worker on real files."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa

from racoon.domain.identity import PatientId
from racoon.node.clinical import _store
from racoon.node.clinical.hl7.door import Door
from racoon.node.clinical.hl7.inbox import Inbox, Receipt
from racoon.node.clinical.hl7.mapping import Reading
from racoon.node.clinical.hl7.merging import Merger
from racoon.node.clinical.hl7.working import Worker
from racoon.node.clinical.importing import Importer
from racoon.node.clinical.ordering import OrderLinker
from racoon.node.cohorts import service as cohorts
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.settings import Hl7SenderSettings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database, create_all
from racoon.standards.hl7v2.mllp import Block

ZONE = ZoneInfo("Europe/Berlin")
SENDERS = (
    Hl7SenderSettings(name="KIS", addresses=("127.0.0.1",), application="KIS", facility="KLINIK"),
    Hl7SenderSettings(name="Labor", addresses=("127.0.0.0/8",), application="LIS"),
)


@dataclass
class Clinic:
    """Everything of one node that messages meet."""

    folder: Path
    default_encoding: str = "8859/1"
    database: Database = field(init=False)

    def __post_init__(self) -> None:
        self.database = Database(f"sqlite:///{self.folder}/node.sqlite")
        create_all(self.database, "node")
        self.open()

    def open(self) -> None:
        """Open what a process opens; again after one was killed."""
        self.names = Pseudonymiser(
            self.folder / "names" / "master.key", f"sqlite:///{self.folder}/names/names.sqlite"
        )
        self.inbox = Inbox(self.folder / "hl7")
        self.door = Door(SENDERS, self.default_encoding, "", "ALPHA", ZONE)
        listeners = [cohorts.record_clinical]
        self.importer = Importer(self.database, self.names, on_stored=listeners)
        self.merger = Merger(
            self.database, AuditLog("node"), self.names, shift_limit_days=14, on_stored=listeners
        )
        self.worker = Worker(
            self.inbox,
            self.importer,
            self.merger,
            self.names,
            Reading(ZONE),
            self.default_encoding,
            OrderLinker(self.database, self.names),
        )

    def send(self, *messages: bytes) -> list[Receipt]:
        """Let messages arrive."""
        return self.inbox.take([self.door.judge(Block("message", item), SENDERS) for item in messages])

    def work(self) -> int:
        """Work off what can be."""
        total = 0
        while done := self.worker.work_off():
            total += done
        return total

    def rows(self, table: sa.Table) -> list[dict[str, Any]]:
        """Return the rows of a table of the node."""
        with self.database.connect() as connection:
            return [
                dict(row._mapping)
                for row in connection.execute(sa.select(table).order_by(*table.primary_key))
            ]

    def contents(self, kind: str) -> list[dict[str, Any]]:
        """Return the stored resources of a type."""
        return [row["content"] for row in self.rows(_store.resource) if row["kind"] == kind]

    def shift(self, number: str) -> int:
        """Return a patient's own shift."""
        return self.names.date_shift_days(PatientId(number), is_merged=False)

    def close(self) -> None:
        """Close what is open."""
        self.inbox.close()
        self.names.close()
        self.database.dispose()


@pytest.fixture
def clinic(tmp_path: Path) -> Iterator[Clinic]:
    found = Clinic(tmp_path)
    yield found
    found.close()
