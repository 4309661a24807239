"""Studies: create, revise, take steps, ask sites."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.central.orchestration.service import Mail, Runs
from racoon.central.sites.service import Sites
from racoon.central.studies import _store
from racoon.central.studies.model import (
    DEFINITION_STATES,
    SiteTrack,
    Study,
    StudyDefect,
    check_last_days,
    read_definition,
    roles_text,
    with_answers,
)
from racoon.central.studies.service.records import StudyRecords
from racoon.domain.canonical import canonical_json
from racoon.domain.governance.reminding import WAITING_STATES
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


class Studies(StudyRecords):
    """All studies.

    Parameters
    ----------
    audit, sites, mail, runs
        The rooms a study touches.
    """

    def __init__(self, audit: AuditLog, sites: Sites, mail: Mail, runs: Runs) -> None:
        super().__init__(audit, mail)
        self._sites = sites
        self._runs = runs

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
