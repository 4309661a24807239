"""Amendments: a new version of a study goes its own way through check and votes while the old one stays in force."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import sqlalchemy as sa

from racoon.central.studies import _store
from racoon.central.studies.model import (
    Amendment,
    Study,
    StudyDefect,
    UnknownAmendment,
    check_last_days,
    read_definition,
    roles_text,
)
from racoon.central.studies.service.studies import StaleStudy, Studies
from racoon.domain.governance.amendment import AMENDABLE_STATES, AMENDMENT_TABLE, OPEN_AMENDMENT_STATES
from racoon.domain.governance.site_track import OPTED_IN_STATES
from racoon.domain.identity import Role
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth.people import as_seen_by

LONGEST_REASON = 2000
NOT_TOUCHED = frozenset({"stopped", "declined"})
"""Sites that have left are not asked again by an amendment."""


class Amendments:
    """New versions of studies on their way.

    Parameters
    ----------
    audit, studies
        CENTRAL's own.
    """

    def __init__(self, audit: AuditLog, studies: Studies) -> None:
        self._audit = audit
        self._studies = studies

    def amendments(self, connection: sa.Connection, study_id: str) -> list[Amendment]:
        """Return a study's amendments, oldest first."""
        return _store.load_amendments(connection, study_id)

    def history(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return the steps of all amendments of a study, oldest first."""
        return _store.load_amendment_events(connection, study_id)

    def submit(
        self,
        connection: sa.Connection,
        study_id: str,
        document: Mapping[str, Any],
        reason: str,
        actor: str,
        role: str,
    ) -> Amendment:
        """Submit a new version of a study.

        Raises
        ------
        StudyDefect
            When the document or the reason is wrong, the study is not yet fixed or has ended, another amendment is
            on its way, or nothing would change.
        """
        study = self._studies.study(connection, study_id)
        definition = read_definition(document)
        if study.state not in AMENDABLE_STATES:
            raise StudyDefect(
                "An amendment changes a study that is prepared, active or in analysis.",
                code="amendment.state",
            )
        if any(item.state in OPEN_AMENDMENT_STATES for item in self.amendments(connection, study_id)):
            raise StudyDefect("Another amendment of this study is on its way.", code="amendment.open")
        if not reason.strip() or len(reason) > LONGEST_REASON:
            raise StudyDefect(
                "An amendment says in a few words what changes and why.", code="amendment.reason"
            )
        if definition.hash in {row["hash"] for row in self._studies.versions(connection, study_id)}:
            raise StudyDefect("The amendment changes nothing.", code="amendment.same")
        now = clock.now()
        number = _store.insert_amendment(
            connection,
            study_id=study_id,
            hash=definition.hash,
            definition=definition.to_dict(),
            reason=reason.strip(),
            state=AMENDMENT_TABLE.initial,
            version=1,
            created_by=actor,
            created_at=now,
            changed_at=now,
            last_actor=actor,
        )
        count = len(self._studies.versions(connection, study_id))
        _store.add_version(connection, study_id, count + 1, definition, actor, now)
        self._write(connection, actor, role, "amendment.submit", study_id, number, study_hash=definition.hash)
        return self.amendment(connection, study_id, number)

    def amendment(self, connection: sa.Connection, study_id: str, number: int) -> Amendment:
        """Return one amendment.

        Raises
        ------
        StudyDefect
            When there is none.
        """
        for item in self.amendments(connection, study_id):
            if item.number == number:
                return item
        raise UnknownAmendment("There is no such amendment.")

    def transition(
        self,
        connection: sa.Connection,
        study_id: str,
        number: int,
        target: str,
        *,
        artefacts: Mapping[str, Any],
        version: int | None,
        actor: str,
        roles: Collection[Role],
    ) -> Amendment:
        """Take one step: state, event, audit and messages to sites in one transaction.

        Raises
        ------
        TransitionRefused
            When the table or a guard says no.
        StaleStudy
            When somebody else was faster.
        """
        change = self.amendment(connection, study_id, number)
        study = self._studies.study(connection, study_id)
        if version is not None and version != change.version:
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        check_last_days(artefacts, clock.now())
        tracks = self._studies.tracks_of(connection, study_id, change.hash)
        row = AMENDMENT_TABLE.check(
            change.state,
            target,
            actor=actor,
            roles=roles,
            artefacts=artefacts,
            facts={"opted_in_sites": sum(track.state in OPTED_IN_STATES for track in tracks)},
            previous_actor=as_seen_by("central", connection, change.last_actor, actor),
        )
        acting, now = row.roles & set(roles), clock.now()
        role = min(item.value for item in acting)
        if not _store.update_amendment(connection, change, state=target, changed_at=now, last_actor=actor):
            raise StaleStudy("Somebody else changed this study meanwhile; look again.")
        _store.add_amendment_event(
            connection,
            study_id=study_id,
            number=number,
            version=change.version + 1,
            source=change.state,
            target=target,
            actor=actor,
            roles=roles_text(acting),
            artefacts=dict(artefacts),
            happened_at=now,
        )
        self._write(
            connection,
            actor,
            role,
            "amendment.transition",
            study_id,
            number,
            source=change.state,
            target=target,
        )
        self._follow(connection, study, change, target, actor, role)
        return self.amendment(connection, study_id, number)

    def _follow(
        self,
        connection: sa.Connection,
        study: Study,
        change: Amendment,
        target: str,
        actor: str,
        role: str,
    ) -> None:
        """Do what a step means for the sites: ask them, tell them, or put the new version in force."""
        study_id = study.study_id
        tracks = self._studies.tracks(connection, study_id)
        if target == "amend_voting":
            touched = [track.site for track in tracks if track.state not in NOT_TOUCHED]
            self._studies.site_tracks.offer(
                connection, study_id, change.definition, target, touched, actor, role
            )
        elif target in ("amend_refused", "amend_withdrawn"):
            for track in self._studies.tracks_of(connection, study_id, change.hash):
                self._studies.site_tracks.tell_state(
                    connection, track.site, study_id, change.hash, target, ""
                )
        elif target == "amend_in_force":
            self._studies.put_in_force(connection, study, change.definition, actor, role)

    def _write(
        self,
        connection: sa.Connection,
        actor: str,
        role: str,
        action: str,
        study_id: str,
        number: int,
        **details: Any,
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action=action,
            target=f"study/{study_id}/amendment/{number}",
            purpose=study_id,
            details=details,
        )
