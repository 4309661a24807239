"""Forgets a subject who withdrew: originals in quarantine, corrections under way, and what still waits in the spool.

In the transaction of the withdrawal every object that names the subject is closed, so that no page shows it any more;
afterwards its files go.  What comes later goes through the rules, is archived or set aside, and is forgotten then.
"""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.intake import _store
from racoon.node.intake._corrections import Corrections
from racoon.node.intake.spool import Spool
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

SubjectsIn = Callable[[bytes], frozenset[Pseudonym]]
"""Port: whom the beginning of an object names; only a process that holds the door to who is who can answer."""

PREFIX_BYTES = 64 << 10
"""Of a waiting object so much is read: patient and imaging study stand at its beginning."""


@dataclass(frozen=True)
class Forgotten:
    """What went of one subject.

    Parameters
    ----------
    quarantined, waiting
        Originals removed from the quarantine and from the spool.
    unnamed
        Objects left in quarantine of which nothing says whom they name; a person decides on them.
    """

    quarantined: int
    waiting: int
    unnamed: int


def close_for_withdrawal(connection: sa.Connection, pseudonym: Pseudonym, note: str) -> list[str]:
    """Close every object in quarantine that names a subject, in the transaction of the withdrawal."""
    return _store.close_withdrawn(connection, _store.quarantined_of(connection, pseudonym), note)


def holds(database: Database, pseudonym: Pseudonym) -> bool:
    """Tell whether the quarantine still knows a subject."""
    with database.connect() as connection:
        return bool(_store.quarantined_of(connection, pseudonym))


def forget_subject(
    database: Database,
    spool: Spool,
    quarantine: Path,
    audit: AuditLog,
    pseudonym: Pseudonym,
    *,
    subjects_in: SubjectsIn,
    note: str,
) -> Forgotten:
    """Remove every original that names a subject.

    Parameters
    ----------
    database, spool, quarantine, audit
        Those of the intake.
    pseudonym
        Of the archive.
    subjects_in
        Reads whom an object names.
    note
        Why; kept with each object's decision.

    Returns
    -------
    Forgotten
    """
    corrections = Corrections(quarantine)
    with database.connect() as connection:
        nameless = _store.unnamed_in_quarantine(connection)
    named = {name: _subjects(quarantine / name / "object.bin", subjects_in) for name in nameless}
    with database.begin() as connection:
        for name, subjects in named.items():
            _store.name_subjects(connection, name, subjects)
        ids = _store.quarantined_of(connection, pseudonym)
        for name in _store.close_withdrawn(connection, ids, note):
            _audit(connection, audit, name, note)
        _store.forget_owner(connection, pseudonym)
    marks = {corrections.mark_of(name) for name in ids}
    waiting = 0
    for file in spool.waiting(limit=_EVERYTHING):
        if file.corrects in marks or pseudonym in _subjects(file.path, subjects_in, PREFIX_BYTES):
            spool.remove([file.name])
            waiting += 1
    for name in ids:
        shutil.rmtree(quarantine / name, ignore_errors=True)
        corrections.close(name)
    with database.begin() as connection:
        _store.forget_names(connection, ids)
    return Forgotten(len(ids), waiting, sum(1 for subjects in named.values() if not subjects))


_EVERYTHING = 1 << 40


def _subjects(path: Path, subjects_in: SubjectsIn, limit: int = -1) -> frozenset[Pseudonym]:
    # A file that the loop has finished meanwhile is no longer ours to remove.
    with contextlib.suppress(FileNotFoundError), path.open("rb") as stream:
        return subjects_in(stream.read(limit))
    return frozenset()


def _audit(connection: sa.Connection, audit: AuditLog, quarantine_id: str, note: str) -> None:
    audit.append(
        connection,
        actor="node",
        actor_role="consent",
        action="quarantine.delete",
        target=f"quarantine/{quarantine_id}",
        details={"note": note},
    )
