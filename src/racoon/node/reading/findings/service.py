"""What one may ask of findings: list, save, remove; each change is audited in its own transaction."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from racoon import __version__
from racoon.domain.finding import Finding, Quantity
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.cohorts import service as cohorts
from racoon.node.reading.findings import _store
from racoon.node.reading.findings._numbers import numbers_of, plane_of
from racoon.node.reading.findings.model import (
    ATTEMPT_WRITER,
    FindingChanged,
    FindingNotFound,
    NotYourFinding,
    OutsideImage,
    StoredFinding,
)
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database

__all__ = ["Findings", "forget_subject", "plane_of"]


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove the findings of a subject in all their revisions; returns how many rows."""
    return _store.forget_subject(connection, pseudonym)


def hand_over(connection: sa.Connection, imaging_study_uid: str, author: str, to: str) -> int:
    """Give a reader's findings on an imaging study to another one, as their next revisions; returns how many."""
    found = [item for item in _store.load_of_study(connection, imaging_study_uid) if item.author == author]
    for item in found:
        _store.insert(
            connection, replace(item, revision=item.revision + 1, author=to, written_at=clock.now())
        )
    return len(found)


class Findings:
    """Findings of readers.

    Parameters
    ----------
    database, audit
        Where they and their audit entries are kept.
    archive
        Whose images they lie on.
    """

    def __init__(self, database: Database, audit: AuditLog, archive: Archive) -> None:
        self._database = database
        self._audit = audit
        self._archive = archive

    def of_study(self, imaging_study_uid: str, writer: str = "") -> list[StoredFinding]:
        """List the findings of an imaging study, oldest first, without removed ones.

        Parameters
        ----------
        writer
            Who asks; marks of an attempt at a reference set are shown to that attempt only.
        """
        with self._database.connect() as connection:
            found = _store.load_of_study(connection, imaging_study_uid)
        return [
            stored
            for stored in found
            if self._archive.is_readable(stored.pseudonym)
            and (stored.author == writer or not stored.author.startswith(ATTEMPT_WRITER))
        ]

    def get(self, finding_id: str) -> StoredFinding:
        """Return the newest revision of a finding, a removed one too.

        Raises
        ------
        FindingNotFound
            If there is none, or its subject's data may not be read.
        """
        with self._database.connect() as connection:
            found = _store.load(connection, finding_id)
        if found is None or not self._archive.is_readable(found.pseudonym):
            raise FindingNotFound("There is no such finding.")
        return found

    def save(self, user: User, finding: Finding, based_on: int, client: str | None = None) -> StoredFinding:
        """Save a finding as its next revision; one that was removed comes back.

        Parameters
        ----------
        based_on
            Revision the author saw, 0 for a new finding.

        Raises
        ------
        OutsideImage
            If it does not lie on its image, or the image is not in the series and study it names.
        NotYourFinding
        FindingChanged
        """
        place = finding.place
        try:
            row = self._archive.instance(place.sop_instance_uid)
        except SeriesNotFound:
            raise OutsideImage("The image of the finding is not in this archive.") from None
        if (row.series_uid, row.imaging_study_uid) != (place.series_uid, place.imaging_study_uid):
            raise OutsideImage("The image of the finding belongs to another series.")
        numbers = numbers_of(self._archive, row, finding)
        return self._write(user, finding, based_on, row.pseudonym, numbers, client=client)

    def remove(self, user: User, finding_id: str, based_on: int, client: str | None = None) -> StoredFinding:
        """Remove a finding from all lists; its revisions stay, and saving it again brings it back."""
        found = self.get(finding_id)
        return self._write(
            user, found.finding, based_on, found.pseudonym, found.numbers, is_removed=True, client=client
        )

    def _write(
        self,
        user: User,
        finding: Finding,
        based_on: int,
        pseudonym: Pseudonym,
        numbers: tuple[Quantity, ...],
        *,
        is_removed: bool = False,
        client: str | None = None,
    ) -> StoredFinding:
        with self._database.begin() as connection:
            before = _store.load(connection, finding.finding_id)
            if before is not None and before.author != user.name:
                raise NotYourFinding("Only its author may change a finding.")
            if before is not None and _identity(before.finding) != _identity(finding):
                raise OutsideImage("A finding keeps its kind and stays in its imaging study. Draw a new one.")
            if (before.revision if before else 0) != based_on:
                raise FindingChanged("The finding was changed in another window. Load the page again.")
            stored = StoredFinding(
                finding=finding,
                revision=based_on + 1,
                pseudonym=pseudonym,
                author=user.name,
                written_at=clock.now(),
                numbers=numbers,
                software=f"racoon {__version__}",
                is_removed=is_removed,
                origin=before.origin if before is not None and is_removed else None,
            )
            _store.insert(connection, stored)
            if is_removed:
                cohorts.forget_finding(connection, finding.finding_id)
            elif not user.name.startswith(ATTEMPT_WRITER):
                # What somebody marks to practise is no fact of a cohort.
                cohorts.record_finding(
                    connection, finding.finding_id, pseudonym, finding.place.imaging_study_uid
                )
            self._audit.append(
                connection,
                actor=user.name,
                actor_role=user.main_role,
                action="finding.remove" if is_removed else "finding.save",
                target=f"finding/{finding.finding_id}",
                client=client,
                details={
                    "revision": stored.revision,
                    "series": finding.place.series_uid,
                    "pseudonym": str(stored.pseudonym),
                },
            )
        return stored


def _identity(finding: Finding) -> tuple[str, str]:
    return finding.kind, finding.place.imaging_study_uid
