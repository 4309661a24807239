"""What one may ask of intake: listen, work the spool off, see and decide the quarantine, import files."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from racoon.node.deid.model import RELEASABLE, QuarantineReason
from racoon.node.intake import _store
from racoon.node.intake._evidence import summarise
from racoon.node.intake._loop import IngestLoop, count_stored
from racoon.node.intake._stow import TOO_LARGE, StowAnswer, take
from racoon.node.intake.importing import DEFAULT_LARGEST_BYTES, take_in
from racoon.node.intake.model import (
    DECIDED_STATE,
    AlreadyDecided,
    Decision,
    ImportReport,
    IntakeStatus,
    ListenerSettings,
    NoSuchQuarantinedObject,
    ObjectSummary,
    QuarantinedObject,
    QuarantineState,
)
from racoon.node.intake.spool import Spool
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

__all__ = ["IngestLoop", "Intake", "count_stored", "run_listener", "spool_folder"]


def spool_folder(data_directory: Path) -> Path:
    """Where received objects wait."""
    return data_directory / "spool" / "incoming"


def run_listener(settings: ListenerSettings) -> None:
    """Receive DICOM until SIGTERM.  The body of a process; see :mod:`racoon.node.intake.listener`."""
    from racoon.node.intake.listener import run  # noqa: PLC0415 - pynetdicom is needed in this process only

    run(settings, spool_folder(settings.data_directory))


class Intake:
    """Status, quarantine and import of one node.

    Parameters
    ----------
    database, spool, quarantine
        The same as those of the loop.
    audit
        Where decisions are written; in the transaction of the decision.
    largest_bytes
        Largest object of an upload.
    """

    def __init__(
        self,
        database: Database,
        spool: Spool,
        quarantine: Path,
        audit: AuditLog,
        *,
        largest_bytes: int = DEFAULT_LARGEST_BYTES,
    ) -> None:
        self.largest_bytes = largest_bytes
        self._database = database
        self._spool = spool
        self._quarantine = quarantine
        self._audit = audit

    def status(self, days: int = 14) -> IntakeStatus:
        """Give what waits, what is in quarantine, and the counts of the latest days."""
        waiting, waiting_bytes, oldest = self._spool.size()
        with self._database.connect() as connection:
            in_quarantine = _store.waiting_in_quarantine(connection)
            latest = _store.latest_days(connection, days)
        free = shutil.disk_usage(self._spool.folder).free
        return IntakeStatus(waiting, waiting_bytes, oldest if waiting else 0.0, in_quarantine, latest, free)

    def quarantined(
        self, state: QuarantineState | None = QuarantineState.WAITING, limit: int = 200
    ) -> list[QuarantinedObject]:
        """List quarantined objects, newest first."""
        with self._database.connect() as connection:
            return _store.list_quarantined(connection, state=state, limit=limit)

    def decide(
        self, quarantine_id: str, decision: Decision, *, actor: str, actor_role: str, note: str = ""
    ) -> QuarantinedObject:
        """Release a quarantined object into the spool again, or delete it.

        Raises
        ------
        NoSuchQuarantinedObject, AlreadyDecided
        """
        state = DECIDED_STATE[decision]
        with self._database.begin() as connection:
            item = _store.load_quarantined(connection, quarantine_id)
            if item is None:
                raise NoSuchQuarantinedObject("There is no such object in quarantine.")
            if not _store.decide(connection, quarantine_id, state, decided_by=actor, note=note[:512]):
                raise AlreadyDecided("This object has been decided already.")
            self._audit.append(
                connection,
                actor=actor,
                actor_role=actor_role,
                action=f"quarantine.{decision.value}",
                target=f"quarantine/{quarantine_id}",
                details={"code": item.code, "note": note[:512]},
            )
            # Inside the transaction: if the spool cannot take it, nothing is decided.
            self._carry_out(item, decision)
            decided = _store.load_quarantined(connection, quarantine_id)
        assert decided is not None
        shutil.rmtree(self._quarantine / quarantine_id, ignore_errors=True)
        return decided

    def _carry_out(self, item: QuarantinedObject, decision: Decision) -> None:
        if decision is not Decision.RELEASE:
            return
        path = self._quarantine / item.quarantine_id / "object.bin"
        if not path.is_file():
            raise NoSuchQuarantinedObject("The object is no longer in the quarantine folder.")
        reason = QuarantineReason(item.code)
        self._spool.put([path.read_bytes()], released=reason.value if reason in RELEASABLE else "")

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

    def quarantined_object(self, quarantine_id: str) -> tuple[QuarantinedObject, ObjectSummary | None]:
        """Give one quarantined object and, while it is there, what its header says about itself.

        Raises
        ------
        NoSuchQuarantinedObject
        """
        with self._database.connect() as connection:
            item = _store.load_quarantined(connection, quarantine_id)
        if item is None:
            raise NoSuchQuarantinedObject("There is no such object in quarantine.")
        path = self._quarantine / item.quarantine_id / "object.bin"
        return item, summarise(path.read_bytes()) if path.is_file() else None
