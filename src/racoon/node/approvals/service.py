"""What one may ask the site's decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.identity import Role
from racoon.domain.study import StudyDefinition
from racoon.errors import Defect
from racoon.node.approvals import _store
from racoon.node.approvals.model import NotApproved, StudyAtSite, check_job
from racoon.platform import clock
from racoon.platform.audit import AuditLog, Outcome
from racoon.protocol.messages import JobOffer, StudyOffer, StudyState, TrackChanged

Announce = Callable[[sa.Connection, TrackChanged], None]
"""Hands a decision to the outgoing line in the same transaction; ``app`` registers it."""


class StudyOfferDefect(Defect):
    """The offered definition is not the document its hash names."""

    code: ClassVar[str] = "approvals.study_hash"


class Approvals:
    """The site's decisions on studies.

    Parameters
    ----------
    audit
        The node's audit log.
    announce
        Port to the outgoing line.
    feasibility_enabled
        Standing permission to answer protected feasibility counts.
    """

    def __init__(self, audit: AuditLog, announce: Announce, *, feasibility_enabled: bool) -> None:
        self._audit = audit
        self._announce = announce
        self._feasibility_enabled = feasibility_enabled

    def receive_offer(self, connection: sa.Connection, offer: StudyOffer) -> None:
        """Record that CENTRAL asks this site; the track stands at ``requested`` and waits for people.

        Raises
        ------
        StudyOfferDefect
            When the definition is not what its hash says, or cannot be read.
        """
        try:
            definition = StudyDefinition.from_dict(offer.definition)
        except (KeyError, TypeError, ValueError) as error:
            raise StudyOfferDefect("The offered study definition cannot be read.") from error
        if definition.hash != offer.study_hash:
            raise StudyOfferDefect("The offered study definition does not fit its hash.")
        if _store.load(connection, offer.study_id, offer.study_hash) is not None:
            return
        study = StudyAtSite(
            study_id=offer.study_id,
            study_hash=offer.study_hash,
            definition=definition,
            central_state="site_voting",
            track_state="requested",
            version=1,
            last_actor=None,
            vote=None,
            dataset_hash=None,
            offered_at=clock.now(),
        )
        _store.insert(connection, study, offer.requested_by)
        self._write_audit(connection, "CENTRAL", "central", "study.requested", study, "success")

    def receive_state(self, connection: sa.Connection, state: StudyState) -> None:
        """Record the state CENTRAL announces; a hold or an end stops work on data at once."""
        study = _store.load(connection, state.study_id, state.study_hash)
        if study is None or study.central_state == state.state:
            return
        _store.update(connection, study, None, central_state=state.state)
        self._write_audit(
            connection, "CENTRAL", "central", "study.state", study, "success", state=state.state
        )

    def studies(self, connection: sa.Connection) -> list[StudyAtSite]:
        """Return all studies this site was asked for, newest first."""
        return _store.load_all(connection)

    def study(self, connection: sa.Connection, study_id: str, study_hash: str) -> StudyAtSite | None:
        """Return one version of a study, or ``None``."""
        return _store.load(connection, study_id, study_hash)

    def current(self, connection: sa.Connection, study_id: str) -> StudyAtSite:
        """Return the newest version of a study.

        Raises
        ------
        NotApproved
            When the site does not know it.
        """
        for study in _store.load_all(connection):
            if study.study_id == study_id:
                return study
        raise NotApproved("This site does not know this study.", code="approvals.unknown_study")

    def history(self, connection: sa.Connection, study_id: str) -> list[dict[str, Any]]:
        """Return all steps taken at this site for a study, oldest first."""
        return _store.load_events(connection, study_id)

    def decide(
        self,
        connection: sa.Connection,
        study: StudyAtSite,
        target: str,
        *,
        actor: str,
        roles: Collection[Role],
        artefacts: dict[str, Any],
        version: int | None = None,
    ) -> StudyAtSite:
        """Take one step of the site's track: state, event, audit and message in one transaction.

        Parameters
        ----------
        study
            As loaded in this transaction.
        target
            Wanted state.
        actor, roles
            Who decides.
        artefacts
            What is handed in with the step.
        version
            Version the person saw; a stale one is refused.

        Raises
        ------
        TransitionRefused
            When the table or a guard says no, or somebody else was faster.
        """
        facts = {"vote": study.vote, "dataset_hash": study.dataset_hash}
        row = SITE_TRACK_TABLE.check(
            study.track_state,
            target,
            actor=actor,
            roles=roles,
            artefacts=artefacts,
            facts=facts,
            previous_actor=study.last_actor,
        )
        if version is not None and version != study.version:
            raise TransitionRefused(
                "Somebody else changed this study meanwhile; look again.", code="track.stale"
            )
        role = _first(row.roles & set(roles))
        now = clock.now()
        vote = str(artefacts["vote"]) if target == "uac_vote" else study.vote
        if target == "uac_vote" and vote not in ("yes", "conditional", "no"):
            raise TransitionRefused("The vote is yes, conditional or no.", code="track.vote")
        _store.add_event(connection, study, target, actor, role, artefacts, now)
        if not _store.update(
            connection,
            study,
            study.version,
            track_state=target,
            version=study.version + 1,
            last_actor=actor,
            vote=vote,
        ):
            raise TransitionRefused(
                "Somebody else changed this study meanwhile; look again.", code="track.stale"
            )
        self._write_audit(connection, actor, role, "track.decide", study, "success", target=target)
        self._announce(connection, _message(study, target, role, now, artefacts))
        changed = _store.load(connection, study.study_id, study.study_hash)
        assert changed is not None
        return changed

    def dataset_frozen(
        self, connection: sa.Connection, study_id: str, study_hash: str, dataset_hash: str
    ) -> None:
        """Record the dataset that was frozen for a study version."""
        study = _store.load(connection, study_id, study_hash)
        if study is None:
            raise NotApproved(
                "This site does not know this version of the study.", code="approvals.unknown_study"
            )
        _store.update(connection, study, None, dataset_hash=dataset_hash)

    def record_refusal(
        self, connection: sa.Connection, study: StudyAtSite, target: str, actor: str, roles: Collection[Role]
    ) -> None:
        """Write into the audit that somebody tried a step and was refused; a transaction of its own."""
        self._write_audit(connection, actor, _first(roles), "track.decide", study, "refused", target=target)

    def authorise(self, connection: sa.Connection, offer: JobOffer) -> StudyAtSite | None:
        """Check a job against the site's own records.

        Raises
        ------
        NotApproved
            With the first rule that says no.
        """
        study = _store.load(connection, offer.study_id, offer.study_hash)
        check_job(offer, study, feasibility_enabled=self._feasibility_enabled, now=clock.now())
        return study

    def _write_audit(
        self,
        connection: sa.Connection,
        actor: str,
        role: str,
        action: str,
        study: StudyAtSite,
        outcome: Outcome,
        **details: Any,
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action=action,
            target=f"study/{study.study_id}",
            purpose=study.study_id,
            outcome=outcome,
            details={"study_hash": study.study_hash, "from": study.track_state, **details},
        )


def _first(roles: Collection[Role]) -> str:
    return min(roles, default="none")


def _message(
    study: StudyAtSite, target: str, role: str, decided_at: datetime, artefacts: dict[str, Any]
) -> TrackChanged:
    return TrackChanged(
        study_id=study.study_id,
        study_hash=study.study_hash,
        source=study.track_state,
        target=target,
        actor_role=role,
        decided_at=decided_at,
        public_reason=str(artefacts.get("public_reason", ""))[:500],
        version=study.version + 1,
    )
