"""The node's rooms, furnished once per process: who gets which database, port and neighbour.

Built in each of the node's processes; holds services only, no routes and no job handlers.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import Any

import psutil
import sqlalchemy as sa

from racoon import __version__
from racoon.node.approvals.service import Approvals
from racoon.node.archive.objects import LocalFolder
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.deid.service import Deidentifier
from racoon.node.intake.service import IngestLoop, Intake, count_stored, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.intake.watching import WatchedFolder
from racoon.node.jobs.model import JobState, Outcome
from racoon.node.jobs.service import Jobs
from racoon.node.link.identity import Identity, load_identity
from racoon.node.link.service import Outbox
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.node.release.service import ReleaseGate
from racoon.node.settings import NodeSettings
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database
from racoon.protocol.envelope import PROTOCOL_VERSION
from racoon.protocol.messages import Heartbeat, JobOffer


def open_archive(settings: NodeSettings, database: Database) -> Archive:
    """Open the archive with everything that listens to what it stores."""
    return Archive(
        database,
        LocalFolder(settings.data_directory / "archive"),
        on_stored=[cohorts.record, count_stored],
    )


def open_images(settings: NodeSettings) -> Archive:
    """Open the archive in a further process, to read images there."""
    return open_archive(settings, Database(settings.database))


@dataclass
class Rooms:
    """Services of one process of the node.

    Parameters
    ----------
    settings
        The node's settings; the node is enrolled.
    """

    settings: NodeSettings
    database: Database = field(init=False)
    identity: Identity = field(init=False)

    def __post_init__(self) -> None:
        settings = self.settings
        self.started_at = clock.now()
        self.database = Database(settings.database)
        self.identity = load_identity(settings.identity_folder, settings.site)
        self.audit = AuditLog("node", settings.release.policy().version)
        self.outbox = Outbox(self.identity, settings.artifacts_folder)
        self.gate = ReleaseGate(settings.release.policy(), self.outbox, self.audit)
        self.approvals = Approvals(
            self.audit,
            lambda connection, message: self.gate.announce(connection, "track.changed", message),
            feasibility_enabled=settings.release.feasibility,
        )
        self.archive = open_archive(settings, self.database)
        self.spool = Spool(spool_folder(settings.data_directory))
        self.quarantine = settings.data_directory / "quarantine"
        self.intake = Intake(
            self.database,
            self.spool,
            self.quarantine,
            self.audit,
            largest_bytes=settings.dicom.max_object_mb << 20,
        )
        self.jobs = Jobs(self.database, self.audit, self.approvals, self.gate.announce, self._submit)

    def ingest_loop(self) -> IngestLoop:
        """Build the loop that works the spool off; it alone opens the door to who is who."""
        names = Pseudonymiser(
            self.settings.data_directory / "pseudonyms" / "master.key",
            f"sqlite:///{self.settings.data_directory.resolve() / 'pseudonyms' / 'pseudonyms.sqlite'}",
        )
        return IngestLoop(
            self.spool,
            Deidentifier(self.settings.deid.in_force(), names),
            self.archive,
            self.database,
            quarantine=self.quarantine,
            processes=self.settings.ingest_processes,
        )

    def watched_folder(self) -> WatchedFolder | None:
        """Give the folder that others fill, where one is configured."""
        folder = self.settings.intake.watched_folder
        if folder is None:
            return None
        return WatchedFolder(
            folder,
            self.spool,
            self.settings.data_directory / "imports",
            largest_bytes=self.settings.dicom.max_object_mb << 20,
        )

    def heartbeat(self) -> Heartbeat:
        """Tell how the node is, in numbers about the machine; counts of data leave only through releases."""
        status = self.intake.status(days=1)
        with self.database.connect() as connection:
            states = [job.state for job in self.jobs.newest(connection)]
        return Heartbeat(
            version=__version__,
            protocol=f"{PROTOCOL_VERSION[0]}.{PROTOCOL_VERSION[1]}",
            sent_at=clock.now(),
            uptime_s=max(0.0, (clock.now() - self.started_at).total_seconds()),
            disk_free_gb=shutil.disk_usage(self.settings.data_directory).free / 1e9,
            memory_mb=psutil.Process().memory_info().rss / 2**20,
            jobs_waiting=states.count(JobState.ACCEPTED),
            jobs_running=states.count(JobState.RUNNING),
            intake_waiting=status.waiting,
            quarantined=status.in_quarantine,
            certificate_expires_at=self.identity.expires_at,
        )

    def _submit(self, connection: sa.Connection, offer: JobOffer, outcome: Outcome) -> Any:
        return self.gate.submit(connection, offer, outcome.aggregate, outcome.files)
