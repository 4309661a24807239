"""What one may ask of intake: listen, work the spool off, see and decide the quarantine, import files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from racoon.node.intake import _store
from racoon.node.intake._loop import IngestLoop, count_stored
from racoon.node.intake._stow import TOO_LARGE, StowAnswer, take
from racoon.node.intake.activity import Activity
from racoon.node.intake.importing import DEFAULT_LARGEST_BYTES, take_in
from racoon.node.intake.model import ImportReport, IntakeStatus, ListenerSettings, MinuteCounts, Transfer
from racoon.node.intake.quarantine import QuarantineDesk
from racoon.node.intake.spool import Spool
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

__all__ = ["IngestLoop", "Intake", "activity_folder", "count_stored", "run_listener", "spool_folder"]


def spool_folder(data_directory: Path) -> Path:
    """Where received objects wait."""
    return data_directory / "spool" / "incoming"


def activity_folder(data_directory: Path) -> Path:
    """Where the list of recent transfers lies."""
    return data_directory / "activity"


def run_listener(settings: ListenerSettings) -> None:
    """Receive DICOM until SIGTERM.  The body of a process; see :mod:`racoon.node.intake.listener`."""
    from racoon.node.intake.listener import run  # noqa: PLC0415 - pynetdicom is needed in this process only

    run(settings, spool_folder(settings.data_directory), activity_folder(settings.data_directory))


class Intake(QuarantineDesk):
    """Status, quarantine, uploads and import of one node.

    Parameters
    ----------
    database, spool, quarantine
        The same as those of the loop.
    audit
        Where decisions are written; in the transaction of the decision.
    largest_bytes
        Largest object of an upload.
    activity
        Where transfers are listed for the intake page.
    """

    def __init__(
        self,
        database: Database,
        spool: Spool,
        quarantine: Path,
        audit: AuditLog,
        *,
        largest_bytes: int = DEFAULT_LARGEST_BYTES,
        activity: Activity | None = None,
    ) -> None:
        super().__init__(database, spool, quarantine, audit)
        self.largest_bytes = largest_bytes
        self._activity = activity

    def status(self, days: int = 14) -> IntakeStatus:
        """Give what waits, what is in quarantine, and the counts of the latest days."""
        waiting, waiting_bytes, oldest = self._spool.size()
        with self._database.connect() as connection:
            in_quarantine = _store.waiting_in_quarantine(connection)
            latest = _store.latest_days(connection, days)
        disk = shutil.disk_usage(self._spool.folder)
        return IntakeStatus(
            waiting, waiting_bytes, oldest if waiting else 0.0, in_quarantine, latest, disk.free, disk.total
        )

    def minutes(self, number: int = 60) -> list[MinuteCounts]:
        """Give what each of the latest minutes brought and finished, oldest first."""
        return [] if self._activity is None else self._activity.minutes(number)

    def transfers(self, limit: int = 20) -> list[Transfer]:
        """List the latest associations, uploads, imports and fetches, newest first."""
        return [] if self._activity is None else self._activity.latest(limit)

    def import_path(
        self,
        path: Path,
        journals: Path,
        *,
        actor: str,
        largest_bytes: int = DEFAULT_LARGEST_BYTES,
        dicom_only: bool = False,
        progress: Callable[[int], None] | None = None,
    ) -> ImportReport:
        """Put every file of a folder, a ZIP file or a medium into the spool; see :mod:`.importing`.

        Parameters
        ----------
        path
            Folder, ZIP file, DICOMDIR or single file.
        journals
            Folder for the journal of an interrupted import.
        actor
            Who imports, for the audit; the path itself is not recorded, it may name a patient.
        largest_bytes, dicom_only, progress
            As in :func:`racoon.node.intake.importing.take_in`.

        Raises
        ------
        ImportRefused
            If there is nothing to import.
        StorageFull
            If the spool's disk is full; what was taken stays taken.
        """
        report = take_in(
            path,
            self._spool,
            journals,
            largest_bytes=largest_bytes,
            dicom_only=dicom_only,
            progress=progress,
        )
        with self._database.begin() as connection:
            self._audit.append(
                connection,
                actor=actor,
                actor_role="operator",
                action="intake.import",
                target="intake/spool",
                details={
                    "taken": report.taken,
                    "taken_before": report.taken_before,
                    "left_out": report.left_out,
                    "problems": len(report.problems),
                },
            )
        if self._activity is not None:
            problems = len(report.problems)
            self._activity.record(
                "import", actor, objects=report.taken, size_bytes=report.taken_bytes, refused=problems
            )
        return report

    def take_part(
        self, data: bytes, answer: StowAnswer, study_uid: str = "", *, too_large: bool = False
    ) -> None:
        """Take one object of an upload; what became of it is noted in the answer.

        Raises
        ------
        StorageFull
            If there is no space.
        """
        if too_large:
            answer.failed.append(("", "", TOO_LARGE))
        else:
            take(data, self._spool, answer, study_uid=study_uid)
            answer.taken_bytes += len(data)

    def record_upload(self, actor: str, actor_role: str, answer: StowAnswer) -> None:
        """Write an upload into the audit."""
        with self._database.begin() as connection:
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action="intake.upload",
                target="intake/spool",
                outcome="success" if answer.stored else "failure",
                details={"taken": len(answer.stored), "failed": len(answer.failed)},
            )
        if self._activity is not None:
            self._activity.record(
                "http",
                actor,
                objects=len(answer.stored),
                size_bytes=answer.taken_bytes,
                refused=len(answer.failed),
            )
