"""Sites' tracks at CENTRAL: asked by CENTRAL, moved by each site's signed messages alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import sqlalchemy as sa

from racoon.central.orchestration.service import Mail
from racoon.central.studies import _store
from racoon.central.studies.model import SiteTrack, Study, StudyDefect, check_track_change
from racoon.domain.study import StudyDefinition
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.protocol.envelope import Envelope, to_wire
from racoon.protocol.messages import SiteStanding, StudyOffer, StudyReminder, StudyState, TrackChanged


class Tracks:
    """Where sites stand.

    Parameters
    ----------
    audit, mail
        CENTRAL's own.
    study
        Finds a study or refuses.
    """

    def __init__(self, audit: AuditLog, mail: Mail, study: Callable[[sa.Connection, str], Study]) -> None:
        self._audit = audit
        self._mail = mail
        self.study = study
        mail.on("track.changed", self._track_changed)
        mail.on("study.standing", self._standing_said)

    def all(self, connection: sa.Connection, study_id: str) -> list[SiteTrack]:
        """Return where sites stand on every version they were asked for, by site and then by age."""
        return _store.load_tracks(connection, study_id)

    def of_version(self, connection: sa.Connection, study_id: str, study_hash: str) -> list[SiteTrack]:
        """Return where sites stand on one version of a study."""
        return [track for track in _store.load_tracks(connection, study_id) if track.study_hash == study_hash]

    def offer(
        self,
        connection: sa.Connection,
        study_id: str,
        definition: StudyDefinition,
        state: str,
        codes: Sequence[str],
        actor: str,
        role: str,
    ) -> None:
        """Offer one version of a study to sites that were not asked for it before."""
        study_hash, now = definition.hash, clock.now()
        known = {track.site for track in self.of_version(connection, study_id, study_hash)}
        asked = sorted(set(codes) - known)
        for code in asked:
            track = SiteTrack(code, "requested", study_hash, 1, now)
            _store.save_track(connection, study_id, track)
            _store.add_decision(connection, study_id, track, None)
            offer = StudyOffer(
                study_id=study_id,
                study_hash=study_hash,
                definition=definition.to_dict(),
                requested_by=actor,
            )
            self._mail.send(connection, code, "study.offer", offer)
            self.tell_state(connection, code, study_id, study_hash, state, "")
        if asked:
            self._write(
                connection, actor, role, "study.request_sites", study_id, sites=asked, study_hash=study_hash
            )

    def remind(
        self, connection: sa.Connection, track: SiteTrack, study_id: str, actor: str, role: str
    ) -> None:
        """Remind a site that a decision of its own waits."""
        now = clock.now()
        _store.save_track(connection, study_id, replace(track, reminded_at=now))
        reminder = StudyReminder(
            study_id=study_id, study_hash=track.study_hash, waiting_since=track.since, sent_at=now
        )
        self._mail.send(connection, track.site, "study.reminder", reminder)
        self._write(connection, actor, role, "study.remind", study_id, site=track.site, state=track.state)

    def tell_state(
        self, connection: sa.Connection, site: str, study_id: str, study_hash: str, state: str, reason: str
    ) -> None:
        """Tell a site the state of one version of a study."""
        message = StudyState(study_id=study_id, study_hash=study_hash, state=state, reason=reason[:500])
        self._mail.send(connection, site, "study.state", message)

    def _track_changed(
        self, connection: sa.Connection, site: str, message: TrackChanged, envelope: Envelope
    ) -> None:
        self.study(connection, message.study_id)
        known = self._known_track(connection, site, message.study_id, message.study_hash)
        if not check_track_change(message, known):
            return
        assert known is not None
        track = SiteTrack(
            site,
            message.target,
            message.study_hash,
            message.version,
            message.decided_at,
            message.public_reason,
            known.standing,
        )
        _store.save_track(connection, message.study_id, track)
        _store.add_decision(connection, message.study_id, track, to_wire(envelope))
        self._audit.append(
            connection,
            actor=site,
            actor_role=message.actor_role,
            action="track.changed",
            target=f"study/{message.study_id}/site/{site}",
            purpose=message.study_id,
            details={"source": message.source, "target": message.target, "study_hash": message.study_hash},
        )

    def _standing_said(
        self, connection: sa.Connection, site: str, message: SiteStanding, envelope: Envelope
    ) -> None:
        track = self._known_track(connection, site, message.study_id, message.study_hash)
        if track is None:
            raise StudyDefect("CENTRAL did not ask this site for this study.", code="study.not_requested")
        before = track.standing or {}
        if before and before["assessed_at"] > message.model_dump(mode="json")["assessed_at"]:
            return
        standing = {**message.model_dump(mode="json"), "envelope": to_wire(envelope)}
        _store.save_track(connection, message.study_id, replace(track, standing=standing))
        if before.get("can_run") != message.can_run or before.get("code") != message.code:
            self._audit.append(
                connection,
                actor=site,
                actor_role="node",
                action="study.standing",
                target=f"study/{message.study_id}/site/{site}",
                purpose=message.study_id,
                details={"can_run": message.can_run, "code": message.code, "study_hash": message.study_hash},
            )

    def _known_track(
        self, connection: sa.Connection, site: str, study_id: str, study_hash: str
    ) -> SiteTrack | None:
        tracks = self.of_version(connection, study_id, study_hash)
        return next((track for track in tracks if track.site == site), None)

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
