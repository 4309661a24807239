"""Studies: create, revise, take steps, ask sites, read their decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.central.orchestration.service import Mail, Runs
from racoon.central.sites.service import Sites
from racoon.central.studies import _store
from racoon.central.studies.matrix import WAITING_STATES, MatrixRow, current_tracks, matrix
from racoon.central.studies.model import (
    DEFINITION_STATES,
    SiteTrack,
    Study,
    StudyDefect,
    UnknownStudy,
    check_last_days,
    describe_step,
    facts_of,
    read_definition,
    roles_text,
    with_answers,
)
from racoon.central.studies.service.tracks import Tracks
from racoon.domain.canonical import canonical_json
from racoon.domain.governance.amendment import OPEN_AMENDMENT_STATES
from racoon.domain.governance.study import STUDY_TABLE
from racoon.domain.identity import Role
from racoon.domain.study import StudyDefinition
from racoon.errors import Refused
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth.people import as_seen_by

STOPPING_STATES = frozenset({"data_hold", "closed", "archived", "withdrawn"})
"""States on entering which all running work of the study is taken back."""

MAX_ARTEFACT_BYTES = 200_000
"""Artefacts of a step are words and small documents; files come with the governance issue."""


class StaleStudy(Refused):
    """Somebody else changed the study meanwhile."""

    code: ClassVar[str] = "study.stale"
    status: ClassVar[int] = 409


class Studies:
    """All studies.

    Parameters
    ----------
    audit, sites, mail, runs
        The rooms a study touches.
    """

    def __init__(self, audit: AuditLog, sites: Sites, mail: Mail, runs: Runs) -> None:
        self._audit = audit
        self._sites = sites
        self._runs = runs
        self._tracks = Tracks(audit, mail, self.study)

    # ------------------------------------------------------------------------------------------------ look

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
        return matrix(tracks, events, clock.now())

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

    # ------------------------------------------------------------------------------------------------ change

    def create(self, connection: sa.Connection, document: Mapping[str, Any], actor: str, role: str) -> Study:
        """Create a study from its document.

        Raises
        ------
        StudyDefect
            When the document is wrong.
        """
        definition = read_definition(document)
        study_id = _store.insert(connection, definition, actor, clock.now())
        self._write(connection, actor, role, "study.create", study_id, study_hash=definition.hash)
        return self.study(connection, study_id)

    def revise(
        self,
        connection: sa.Connection,
        study_id: str,
        document: Mapping[str, Any],
        version: int,
        actor: str,
        role: str,
    ) -> Study:
        """Replace the definition by a new version; sites that decided before have decided on the old one.

        Raises
        ------
        StudyDefect
            When the document is wrong or the study's state no longer allows it.
        StaleStudy
            When somebody else was faster.
        """
        study = self.study(connection, study_id)
        if study.state not in DEFINITION_STATES:
            raise StudyDefect("The definition can only change in concept or rework.", code="study.fixed")
        definition = read_definition(document)
        now = clock.now()
        if not _store.update(
            connection,
            study_id,
            version,
            definition=definition.to_dict(),
            hash=definition.hash,
            changed_at=now,
        ):
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        number = len(_store.load_versions(connection, study_id)) + 1
        _store.add_version(connection, study_id, number, definition, actor, now)
        self._write(connection, actor, role, "study.revise", study_id, study_hash=definition.hash)
        return self.study(connection, study_id)

    def save_answers(
        self,
        connection: sa.Connection,
        study_id: str,
        answers: Mapping[str, str],
        version: int,
        actor: str,
        role: str,
    ) -> Study:
        """Save answers of the application as they are typed; wrong ones are kept and named, never lost.

        A version of the definition is kept for ever once the study is submitted, not for every keystroke before.

        Parameters
        ----------
        answers
            What was typed, by field name; ``title`` and ``lay_summary`` are the study's own.

        Raises
        ------
        StudyDefect
            For a field the form does not have, an answer beyond all limits, or a study that is fixed.
        StaleStudy
            When somebody else was faster.
        """
        study = self.study(connection, study_id)
        if study.state not in DEFINITION_STATES:
            raise StudyDefect("The definition can only change in concept or rework.", code="study.fixed")
        definition = with_answers(study.definition, answers)
        if not _store.update(
            connection,
            study_id,
            version,
            definition=definition.to_dict(),
            hash=definition.hash,
            changed_at=clock.now(),
        ):
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        self._write(connection, actor, role, "study.answer", study_id, fields=sorted(answers))
        return self.study(connection, study_id)

    def transition(
        self,
        connection: sa.Connection,
        study_id: str,
        target: str,
        *,
        artefacts: Mapping[str, Any],
        version: int | None,
        actor: str,
        roles: Collection[Role],
    ) -> Study:
        """Take one step: state, event, audit and messages to sites in one transaction.

        Raises
        ------
        TransitionRefused
            When the table or a guard says no.
        StaleStudy
            When somebody else was faster.
        """
        study = self.study(connection, study_id)
        if version is not None and version != study.version:
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        if len(canonical_json(dict(artefacts))) > MAX_ARTEFACT_BYTES:
            raise StudyDefect("The documents of this step are too large.", code="study.artefacts")
        check_last_days(artefacts, clock.now())
        row = STUDY_TABLE.check(
            study.state,
            target,
            actor=actor,
            roles=roles,
            artefacts=artefacts,
            facts=self._facts(connection, study, artefacts),
            previous_actor=as_seen_by("central", connection, study.last_actor, actor),
        )
        acting = row.roles & set(roles)
        role = min(item.value for item in acting)
        if target == "submitted":
            self._keep_version(connection, study, actor)
        return self._step(connection, study, target, artefacts, actor, role, roles_text(acting))

    def _keep_version(self, connection: sa.Connection, study: Study, actor: str) -> None:
        versions = _store.load_versions(connection, study.study_id)
        if study.hash not in {row["hash"] for row in versions}:
            number = len(versions) + 1
            _store.add_version(connection, study.study_id, number, study.definition, actor, clock.now())

    def hold_by_clock(self, connection: sa.Connection, study: Study, reason: str) -> Study:
        """Hold a study because something it rests on has ended.

        Raises
        ------
        TransitionRefused
            When the table does not let the clock do that from here.
        """
        STUDY_TABLE.check_timer(study.state, "data_hold")
        return self._step(connection, study, "data_hold", {"comment": reason}, "clock", "system", "system")

    def _step(
        self,
        connection: sa.Connection,
        study: Study,
        target: str,
        artefacts: Mapping[str, Any],
        actor: str,
        role: str,
        roles: str,
    ) -> Study:
        study_id, now = study.study_id, clock.now()
        if not _store.update(
            connection, study_id, study.version, state=target, changed_at=now, last_actor=actor
        ):
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        _store.add_event(
            connection,
            study_id=study_id,
            version=study.version + 1,
            source=study.state,
            target=target,
            actor=actor,
            roles=roles,
            study_hash=study.hash,
            artefacts=dict(artefacts),
            happened_at=now,
        )
        self._write(
            connection,
            actor,
            role,
            "study.transition",
            study_id,
            source=study.state,
            target=target,
            artefacts=sorted(artefacts),
        )
        if target in STOPPING_STATES:
            self._runs.cancel_study(connection, study_id, actor, role, f"The study is {target}.")
        for track in self.tracks(connection, study_id):
            self._tracks.tell_state(
                connection, track.site, study_id, track.study_hash, target, str(artefacts.get("comment", ""))
            )
        return self.study(connection, study_id)

    def record_refusal(
        self, connection: sa.Connection, study_id: str, target: str, actor: str, role: str, reason: str
    ) -> None:
        """Write into the audit that somebody tried a step and was refused; a transaction of its own."""
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action="study.transition",
            target=f"study/{study_id[:80]}",
            purpose=study_id[:80],
            outcome="refused",
            details={"target": target[:80], "code": reason},
        )

    def request_sites(
        self, connection: sa.Connection, study_id: str, codes: Sequence[str], actor: str, role: str
    ) -> list[SiteTrack]:
        """Ask enrolled sites to consider the study; a site asked before for this version is not asked again.

        Raises
        ------
        StudyDefect
            For a site that is not enrolled, or a study that has ended or is not yet submitted.
        """
        study = self.study(connection, study_id)
        if study.state in STOPPING_STATES | {"concept", "rework", "rejected"}:
            raise StudyDefect(f"Sites cannot be asked while the study is {study.state}.", code="study.state")
        enrolled = set(self._sites.enrolled(connection))
        if strange := sorted(set(codes) - enrolled):
            raise StudyDefect(f"Not enrolled: {', '.join(strange)}.", code="study.sites")
        self._tracks.offer(connection, study_id, study.definition, study.state, codes, actor, role)
        return self.tracks(connection, study_id)

    def put_in_force(
        self, connection: sa.Connection, study: Study, definition: StudyDefinition, actor: str, role: str
    ) -> None:
        """Make another version the one in force: runs of the old one end, and its sites are told.

        Raises
        ------
        StaleStudy
            When somebody else was faster.
        """
        before = self.tracks(connection, study.study_id)
        if not _store.update(
            connection,
            study.study_id,
            study.version,
            definition=definition.to_dict(),
            hash=definition.hash,
            changed_at=clock.now(),
        ):
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        self._runs.cancel_study(
            connection, study.study_id, actor, role, "A new version of the study is in force."
        )
        for track in before:
            self._tracks.tell_state(
                connection, track.site, study.study_id, track.study_hash, "superseded", ""
            )
        for track in self.tracks_of(connection, study.study_id, definition.hash):
            self._tracks.tell_state(connection, track.site, study.study_id, definition.hash, study.state, "")
        self._write(connection, actor, role, "study.in_force", study.study_id, study_hash=definition.hash)

    def remind(self, connection: sa.Connection, study_id: str, site: str, actor: str, role: str) -> None:
        """Remind a site that a decision of its own waits.

        Raises
        ------
        StudyDefect
            When it is not that site's turn.
        """
        for track in self.tracks(connection, study_id):
            if track.site == site and track.state in WAITING_STATES:
                self._tracks.remind(connection, track, study_id, actor, role)
                return
        raise StudyDefect("No decision of this site waits.", code="study.no_reminder")

    # ------------------------------------------------------------------------------------------------ inner

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

    def _write(
        self, connection: sa.Connection, actor: str, role: str, action: str, study_id: str, **details: Any
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action=action,
            target=f"study/{study_id}",
            purpose=study_id,
            details=details,
        )
