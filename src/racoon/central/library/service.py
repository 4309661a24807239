"""What one may ask about the library."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

import sqlalchemy as sa

from racoon.central.library import _store
from racoon.central.library.model import (
    Entry,
    ModelNotFound,
    ModelState,
    check_approval,
    check_offer,
    check_withdrawal,
)
from racoon.central.studies.service import Studies
from racoon.learning.packages import open_package
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.files import write_atomically
from racoon.protocol.library import LibraryEntry, LibraryList


class Library:
    """Packages of the network.

    Parameters
    ----------
    audit
        CENTRAL's audit log.
    studies
        Where packages come from.
    folder
        For package files, named by their hash.
    """

    def __init__(self, audit: AuditLog, studies: Studies, folder: Path) -> None:
        self._audit = audit
        self._studies = studies
        self._folder = folder

    def offer(
        self, connection: sa.Connection, data: bytes, study_id: str, actor: str, actor_role: str
    ) -> Entry:
        """Promote a study's model to the library; nodes see it when somebody else has approved it.

        Parameters
        ----------
        connection
            Writing.
        data
            The package file.
        study_id
            The study it comes from.
        actor, actor_role
            Who offers it.

        Raises
        ------
        PackageRefused
            If the package breaks a rule.
        LibraryRefused
            Without evidence, or if name and version belong to another package.
        """
        study = self._studies.study(connection, study_id)
        with tempfile.TemporaryDirectory(prefix="racoon-library-") as folder:
            path = Path(folder) / "offered.zip"
            path.write_bytes(data)
            package = open_package(path)
        known = _store.load(connection, package.hash)
        if known is not None:
            return known
        entry = Entry(
            hash=package.hash,
            name=package.card.name,
            version=package.card.version,
            study_id=study.study_id,
            signer=package.signer,
            file_sha256=hashlib.sha256(data).hexdigest(),
            size=len(data),
            card=package.card.model_dump(mode="json"),
            state=ModelState.OFFERED,
            offered_by=actor,
            offered_at=clock.now(),
        )
        check_offer(entry, _store.load_all(connection))
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path(package.hash), data)
        _store.insert(connection, entry)
        self._note(connection, entry, "model.offered", actor, actor_role)
        return entry

    def approve(self, connection: sa.Connection, digest: str, actor: str, actor_role: str) -> None:
        """Let nodes fetch a package.

        Raises
        ------
        ModelNotFound, LibraryRefused
        """
        entry = self.entry(connection, digest)
        check_approval(entry, actor)
        _store.decide(connection, digest, ModelState.APPROVED, actor, clock.now(), "")
        self._note(connection, entry, "model.approved", actor, actor_role)

    def withdraw(
        self, connection: sa.Connection, digest: str, reason: str, actor: str, actor_role: str
    ) -> None:
        """Take a package back: nodes fetch it no more, and those that have it stop running it at their next look.

        Raises
        ------
        ModelNotFound, LibraryRefused
        """
        entry = self.entry(connection, digest)
        check_withdrawal(entry, reason)
        _store.decide(connection, digest, ModelState.WITHDRAWN, actor, clock.now(), reason.strip())
        self._note(connection, entry, "model.withdrawn", actor, actor_role, reason=reason.strip())

    def entry(self, connection: sa.Connection, digest: str) -> Entry:
        """Return an entry.

        Raises
        ------
        ModelNotFound
        """
        entry = _store.load(connection, digest)
        if entry is None:
            raise ModelNotFound("The library has no model of this hash.")
        return entry

    def entries(self, connection: sa.Connection) -> list[Entry]:
        """Return everything, also what was withdrawn."""
        return _store.load_all(connection)

    def for_nodes(self, connection: sa.Connection) -> LibraryList:
        """Return what nodes may fetch, and what they must stop running."""
        return LibraryList(
            models=tuple(
                LibraryEntry(
                    hash=entry.hash,
                    name=entry.name,
                    version=entry.version,
                    study_id=entry.study_id,
                    signer=entry.signer,
                    file_sha256=entry.file_sha256,
                    size=entry.size,
                    is_withdrawn=entry.state is ModelState.WITHDRAWN,
                    reason=entry.reason,
                )
                for entry in _store.load_all(connection)
                if entry.state is not ModelState.OFFERED
            )
        )

    def file_for_nodes(self, connection: sa.Connection, digest: str) -> Path:
        """Return the file of an approved package.

        Raises
        ------
        ModelNotFound
            For a package that is not there or not approved.
        """
        entry = _store.load(connection, digest)
        if entry is None or entry.state is not ModelState.APPROVED:
            raise ModelNotFound("The library has no approved model of this hash.")
        return self.path(digest)

    def path(self, digest: str) -> Path:
        """Return where a package of a known hash lies."""
        return self._folder / f"{digest}.racoon-model"

    def _note(
        self,
        connection: sa.Connection,
        entry: Entry,
        action: str,
        actor: str,
        actor_role: str,
        **details: str,
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=actor_role,
            action=action,
            target=f"model/{entry.hash}",
            purpose=entry.study_id,
            details={"name": entry.name, "version": entry.version, "signer": entry.signer, **details},
        )
