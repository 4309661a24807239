"""What one may ask about studies: create, revise, take steps, ask sites, read their decisions."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.central.orchestration.service import Mail, Runs
from racoon.central.sites.service import Sites
from racoon.central.studies import _store
from racoon.central.studies.model import (
    DEFINITION_STATES,
    MatrixRow,
    SiteTrack,
    Study,
    StudyDefect,
    UnknownStudy,
    check_track_change,
    facts_of,
    matrix,
    read_definition,
    roles_text,
)
from racoon.domain.canonical import canonical_json
from racoon.domain.governance.machine import Transition
from racoon.domain.governance.study import STUDY_TABLE
from racoon.domain.identity import Role
from racoon.errors import Refused
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.envelope import Envelope, to_wire
from racoon.protocol.messages import StudyOffer, StudyState, TrackChanged

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
        self._mail = mail
        self._runs = runs
        mail.on("track.changed", self._track_changed)

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
        """Return where each asked site stands."""
        return _store.load_tracks(connection, study_id)

    def decisions(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return the signed decisions of all sites, oldest first."""
        return _store.load_decisions(connection, study_id)

    def matrix(self, connection: sa.Connection, study_id: str) -> list[MatrixRow]:
        """Return the site × step matrix with the days spent in each state."""
        events = [
            (row["site"], row["target"], row["decided_at"])
            for row in _store.load_decisions(connection, study_id)
        ]
        return matrix(_store.load_tracks(connection, study_id), events, clock.now())

    def next_steps(
        self, connection: sa.Connection, study: Study, actor: str, roles: Collection[Role]
    ) -> list[dict[str, Any]]:
        """Return every step the table knows from here, and why a step is not possible for this person yet."""
        tracks = _store.load_tracks(connection, study.study_id)
        return [
            _describe(row, study, tracks, actor, roles)
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
        tracks = _store.load_tracks(connection, study_id)
        row = STUDY_TABLE.check(
            study.state,
            target,
            actor=actor,
            roles=roles,
            artefacts=artefacts,
            facts=facts_of(study, tracks, artefacts, self._earlier_artefacts(connection, study_id)),
            previous_actor=study.last_actor,
        )
        now = clock.now()
        acting = row.roles & set(roles)
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
            roles=roles_text(acting),
            study_hash=study.hash,
            artefacts=dict(artefacts),
            happened_at=now,
        )
        role = min(item.value for item in acting)
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
        for track in tracks:
            self._tell_state(
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
        known = {track.site: track for track in _store.load_tracks(connection, study_id)}
        now = clock.now()
        asked = []
        for code in sorted(set(codes)):
            if code in known and known[code].study_hash == study.hash:
                continue
            _store.save_track(connection, study_id, SiteTrack(code, "requested", study.hash, 1, now))
            _store.add_decision(connection, study_id, code, "requested", now, None)
            offer = StudyOffer(
                study_id=study_id,
                study_hash=study.hash,
                definition=study.definition.to_dict(),
                requested_by=actor,
            )
            self._mail.send(connection, code, "study.offer", offer)
            self._tell_state(connection, code, study_id, study.hash, study.state, "")
            asked.append(code)
        if asked:
            self._write(connection, actor, role, "study.request_sites", study_id, sites=asked)
        return _store.load_tracks(connection, study_id)

    # ------------------------------------------------------------------------------------------------ inner

    def _track_changed(
        self, connection: sa.Connection, site: str, message: TrackChanged, envelope: Envelope
    ) -> None:
        self.study(connection, message.study_id)
        known = {track.site: track for track in _store.load_tracks(connection, message.study_id)}
        if not check_track_change(message, known.get(site)):
            return
        track = SiteTrack(
            site,
            message.target,
            message.study_hash,
            message.version,
            message.decided_at,
            message.public_reason,
        )
        _store.save_track(connection, message.study_id, track)
        _store.add_decision(
            connection, message.study_id, site, message.target, message.decided_at, to_wire(envelope)
        )
        self._audit.append(
            connection,
            actor=site,
            actor_role=message.actor_role,
            action="track.changed",
            target=f"study/{message.study_id}/site/{site}",
            purpose=message.study_id,
            details={"source": message.source, "target": message.target, "study_hash": message.study_hash},
        )

    def _earlier_artefacts(self, connection: sa.Connection, study_id: str) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        for event in _store.load_events(connection, study_id):
            merged.update(event["artefacts"])
        return merged

    def _tell_state(
        self, connection: sa.Connection, site: str, study_id: str, study_hash: str, state: str, reason: str
    ) -> None:
        message = StudyState(study_id=study_id, study_hash=study_hash, state=state, reason=reason[:500])
        self._mail.send(connection, site, "study.state", message)

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


def _describe(
    row: Transition, study: Study, tracks: Sequence[SiteTrack], actor: str, roles: Collection[Role]
) -> dict[str, Any]:
    obstacle = None
    if not row.roles & set(roles):
        obstacle = "role"
    elif row.four_eyes and study.last_actor == actor:
        obstacle = "second person"
    elif row.guard is not None:
        # Artefacts are not handed in yet; guards look at the study and its sites.
        obstacle = row.guard(facts_of(study, tracks, {}, {}))
    return {
        "target": row.target,
        "roles": sorted(role.value for role in row.roles),
        "artefacts": list(row.artefacts),
        "four_eyes": row.four_eyes,
        "obstacle": obstacle,
    }
