"""What an operator does with the images of a node at its console: import, decide the quarantine, rebuild the index.

All of it may be done while the node runs: the spool and the database are made for several processes.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from racoon.node.app.administration import prepare
from racoon.node.deid.model import Correction
from racoon.node.intake.activity import Activity
from racoon.node.intake.importing import count_files
from racoon.node.intake.model import Decision, QuarantinedObject, QuarantineState
from racoon.node.intake.service import Intake, activity_folder, spool_folder
from racoon.node.intake.spool import Spool
from racoon.node.settings import NodeSettings, load_node_settings
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

Progress = Callable[[int, int], None]

OPERATOR = "operator"
"""Role in the audit of whoever may read the node's configuration and data folder; no account is asked for."""


def import_files(
    config: Path, path: Path, *, dicom_only: bool = False, progress: Progress | None = None
) -> dict[str, Any]:
    """Put files into the spool of a node.

    Parameters
    ----------
    config
        The node's TOML file.
    path
        Folder, ZIP file, DICOMDIR or single file.
    dicom_only
        Leave out what does not begin like DICOM.
    progress
        Called with (done, total).

    Returns
    -------
    dict
        ``files``, ``taken``, ``taken_bytes``, ``taken_before``, ``left_out`` and ``problems``.
    """
    with _opened(config) as (settings, database):
        largest = settings.dicom.max_object_mb << 20
        total = count_files(path, largest_bytes=largest) if progress is not None else 0
        report = _intake(settings, database).import_path(
            path,
            settings.data_directory / "imports",
            actor=person(),
            largest_bytes=largest,
            dicom_only=dicom_only,
            progress=None if progress is None else lambda done: progress(done, total),
        )
    return {
        "files": report.seen,
        "taken": report.taken,
        "taken_bytes": report.taken_bytes,
        "taken_before": report.taken_before,
        "left_out": report.left_out,
        "problems": [
            {"file": problem.name, "code": problem.code, "reason": problem.message}
            for problem in report.problems
        ],
    }


def list_quarantine(config: Path, state: str, limit: int) -> list[dict[str, Any]]:
    """List quarantined objects, newest first.

    Parameters
    ----------
    config
        The node's TOML file.
    state
        ``waiting``, ``correcting``, ``corrected``, ``released``, ``deleted`` or ``all``.
    limit
        At most so many.
    """
    wanted = None if state == "all" else QuarantineState(state)
    with _opened(config) as (settings, database):
        return [_describe(item) for item in _intake(settings, database).quarantined(wanted, limit)]


def show_quarantined(config: Path, quarantine_id: str) -> dict[str, Any]:
    """Give one quarantined object with what its header says, nothing of it identifying."""
    with _opened(config) as (settings, database):
        intake = _intake(settings, database)
        item, summary = intake.quarantined_object(quarantine_id)
        evidence = intake.evidence(quarantine_id)
        correctable = list(intake.correctable(item))
    return _describe(item) | {
        "evidence": evidence,
        "correctable": correctable,
        "object": asdict(summary) if summary else None,
    }


def decide_quarantined(
    config: Path, quarantine_ids: list[str], decision: str, note: str
) -> list[dict[str, Any]]:
    """Release or delete quarantined objects; each decision is audited.

    Parameters
    ----------
    config
        The node's TOML file.
    quarantine_ids
        Which ones.
    decision
        ``release`` or ``delete``.
    note
        Why, in a few words.
    """
    with _opened(config) as (settings, database):
        intake = _intake(settings, database)
        return [
            _describe(
                intake.decide(
                    quarantine_id, Decision(decision), actor=person(), actor_role=OPERATOR, note=note
                )
            )
            for quarantine_id in quarantine_ids
        ]


def correct_quarantined(
    config: Path, quarantine_id: str, correction: Correction, *, make_uids: bool, note: str
) -> dict[str, Any]:
    """Set a quarantined object right and send it through all rules again; audited.

    Parameters
    ----------
    config
        The node's TOML file.
    quarantine_id
        Which one.
    correction
        What it should have said.
    make_uids
        Make missing or conflicting UIDs from the object's content.
    note
        Why, in a few words.
    """
    with _opened(config) as (settings, database):
        item = _intake(settings, database).correct(
            quarantine_id,
            correction,
            actor=person(),
            actor_role=OPERATOR,
            note=note,
            make_uids=make_uids,
        )
    return _describe(item)


def reindex(config: Path, *, verify: bool, progress: Callable[[int], None] | None = None) -> dict[str, Any]:
    """Rebuild the archive's index from its objects, or compare both.

    Parameters
    ----------
    config
        The node's TOML file.
    verify
        Keep the index, read every object and compare its checksum.
    progress
        Called with the number of objects done.
    """
    # Images are needed by this command only.
    from racoon.node.app.rooms import open_archive, open_deletions  # noqa: PLC0415

    with _opened(config) as (settings, database):
        # What was about to be deleted must not come back as an object without an entry.
        open_deletions(settings, database, AuditLog("node")).resume()
        archive = open_archive(settings, database)
        report = archive.sweep(verify=True) if verify else archive.reindex(progress)
        with database.begin() as connection:
            AuditLog("node").append(
                connection,
                actor=person(),
                actor_role=OPERATOR,
                action="archive.verify" if verify else "archive.reindex",
                target="archive/index",
                details={
                    "objects": report.objects,
                    "missing": len(report.missing),
                    "damaged": len(report.damaged),
                },
            )
    return asdict(report) | {"missing": list(report.missing), "damaged": list(report.damaged)}


def person() -> str:
    """Name of the person at the console, as the audit records it."""
    try:
        return f"console:{getpass.getuser()}"
    except (KeyError, OSError):
        return "console"


@contextmanager
def _opened(config: Path) -> Iterator[tuple[NodeSettings, Database]]:
    settings = load_node_settings(config)
    prepare(settings)
    database = Database(settings.database)
    try:
        yield settings, database
    finally:
        database.dispose()


def _intake(settings: NodeSettings, database: Database) -> Intake:
    spool = Spool(spool_folder(settings.data_directory))
    return Intake(
        database,
        spool,
        settings.data_directory / "quarantine",
        AuditLog("node"),
        activity=Activity(activity_folder(settings.data_directory)),
    )


def _describe(item: QuarantinedObject) -> dict[str, Any]:
    decided = item.decided_at.isoformat() if item.decided_at else None
    return asdict(item) | {"received_at": item.received_at.isoformat(), "decided_at": decided}
