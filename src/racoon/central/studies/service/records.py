"""What one may read of studies: their documents, steps, sites and guards."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date
from typing import Any

import sqlalchemy as sa

from racoon.central.orchestration.service import Mail
from racoon.central.studies import _store
from racoon.central.studies.matrix import MatrixRow, current_tracks, matrix
from racoon.central.studies.model import SiteTrack, Study, UnknownStudy, describe_step, facts_of
from racoon.central.studies.service.tracks import Tracks
from racoon.domain.governance.amendment import OPEN_AMENDMENT_STATES
from racoon.domain.governance.study import STUDY_TABLE
from racoon.domain.identity import Role
from racoon.platform import clock
from racoon.platform.audit import AuditLog


class StudyRecords:
    """All studies, to be looked at.

    Parameters
    ----------
    audit, mail
        CENTRAL's own.
    """

    def __init__(self, audit: AuditLog, mail: Mail) -> None:
        self._audit = audit
        self._tracks = Tracks(audit, mail, self.study)

    def studies(self, connection: sa.Connection) -> list[Study]:
        """Return all studies, newest first."""
        return _store.load_all(connection)

    def study(self, connection: sa.Connection, study_id: str) -> Study:
        """Return one study.

        Raises
        ------
        UnknownStudy
        """
        found = _store.load(connection, study_id)
        if found is None:
            raise UnknownStudy("There is no such study.")
        return found

    def versions(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return number, hash, author and time of all versions of the definition."""
        return _store.load_versions(connection, study_id)

    def history(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return all steps of a study with their artefacts, oldest first."""
        return _store.load_events(connection, study_id)

    def tracks(self, connection: sa.Connection, study_id: str) -> list[SiteTrack]:
        """Return where each asked site stands: one track per site, that of the version in force."""
        study = self.study(connection, study_id)
        others = [
            item.hash
            for item in _store.load_amendments(connection, study_id)
            if item.state in OPEN_AMENDMENT_STATES
        ]
        return current_tracks(_store.load_tracks(connection, study_id), study.hash, others)

    def tracks_of(self, connection: sa.Connection, study_id: str, study_hash: str) -> list[SiteTrack]:
        """Return where sites stand on one version of a study."""
        return self._tracks.of_version(connection, study_id, study_hash)

    @property
    def site_tracks(self) -> Tracks:
        """Where sites stand, and what is said to them."""
        return self._tracks

    def decisions(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return the signed decisions of all sites, oldest first."""
        return _store.load_decisions(connection, study_id)

    def matrix(
        self, connection: sa.Connection, study_id: str, study_hash: str | None = None
    ) -> list[MatrixRow]:
        """Return the site × step matrix with the days spent in each state, of the version in force or of another."""
        tracks = (
            self.tracks_of(connection, study_id, study_hash)
            if study_hash
            else self.tracks(connection, study_id)
        )
        versions = {track.site: track.study_hash for track in tracks}
        events = [
            (row["site"], row["target"], row["decided_at"])
            for row in _store.load_decisions(connection, study_id)
            if versions.get(row["site"]) == row["study_hash"]
        ]
        return matrix(tracks, events, clock.now(), self.vote_deadline(connection, study_id))

    def vote_deadline(self, connection: sa.Connection, study_id: str) -> date | None:
        """Return the last day for votes that was named when sites were asked to vote; ``None`` without one."""
        day = self.earlier_artefacts(connection, study_id).get("deadline")
        try:
            return date.fromisoformat(str(day)) if day else None
        except ValueError:
            return None

    def next_steps(
        self, connection: sa.Connection, study: Study, actor: str, roles: Collection[Role]
    ) -> list[dict[str, Any]]:
        """Return every step the table knows from here, and why a step is not possible for this person yet."""
        facts = self._facts(connection, study, {})
        return [
            describe_step(row, study, facts, actor, roles)
            for row in STUDY_TABLE.transitions
            if row.source == study.state
        ]

    def _facts(self, connection: sa.Connection, study: Study, artefacts: Mapping[str, Any]) -> dict[str, Any]:
        events = _store.load_events(connection, study.study_id)
        held_from = next((row["source"] for row in reversed(events) if row["target"] == "data_hold"), None)
        return facts_of(
            study,
            self.tracks(connection, study.study_id),
            artefacts,
            self.earlier_artefacts(connection, study.study_id),
            clock.now(),
            held_from,
        )

    def earlier_artefacts(self, connection: sa.Connection, study_id: str) -> dict[str, Any]:
        """Return what was handed in with all steps so far; a later document replaces an earlier one."""
        merged: dict[str, Any] = {}
        for event in _store.load_events(connection, study_id):
            merged.update(event["artefacts"])
        return merged
