"""The site's decisions: what CENTRAL says is received, people decide, and what is no longer allowed stops."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import canonical_json
from racoon.domain.governance.approval import RENEWABLE, Approval, ApprovalKind, newest
from racoon.domain.governance.local_process import LocalDecision, LocalProcess, check_local_order
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.identity import Role
from racoon.domain.study import StudyDefinition
from racoon.errors import Defect
from racoon.node.approvals import _store
from racoon.node.approvals._steps import check_renewal, first_role, track_message
from racoon.node.approvals.model import LEFT, LocalStanding, NotApproved, StudyAtSite, grant, last_day
from racoon.node.approvals.service.local import local_standing, record_local
from racoon.node.approvals.service.records import DOMAIN, ApprovalRecords
from racoon.platform import clock
from racoon.platform.audit import AuditLog, Outcome
from racoon.platform.auth.people import as_seen_by
from racoon.platform.certificates import sign
from racoon.protocol.messages import Message, StudyOffer, StudyReminder, StudyState

Announce = Callable[[sa.Connection, str, Message], None]
"""Hands a decision to the outgoing line in the same transaction; ``app`` registers it."""

Listener = Callable[[sa.Connection, str], None]
"""Told, in the transaction of the change, that what is allowed for a study may have changed."""

NO_PROCESS = LocalProcess()


class StudyOfferDefect(Defect):
    """The offered definition is not the document its hash names."""

    code: ClassVar[str] = "approvals.study_hash"


class Approvals(ApprovalRecords):
    """The site's decisions on studies.

    Parameters
    ----------
    audit
        The node's audit log.
    announce
        Port to the outgoing line.
    key
        The node's Ed25519 key: each decision is signed with it when it is made, and its signature is checked each
        time something asks whether it may run.
    feasibility_enabled
        Standing permission to answer protected feasibility counts.
    process
        The site's own process beside the network's track; without one nothing more is asked.
    """

    def __init__(
        self,
        audit: AuditLog,
        announce: Announce,
        key: Ed25519PrivateKey,
        *,
        feasibility_enabled: bool,
        process: LocalProcess = NO_PROCESS,
    ) -> None:
        super().__init__(key, feasibility_enabled=feasibility_enabled, process=process)
        self._audit = audit
        self._announce = announce
        self._key = key
        self._listeners: list[Listener] = []

    def on_change(self, listener: Listener) -> None:
        """Register somebody who has to stop work when a decision changes."""
        self._listeners.append(listener)

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
        self._changed(connection, study)

    def receive_reminder(self, connection: sa.Connection, reminder: StudyReminder) -> None:
        """Record that CENTRAL waits for a decision of this site; people see it where they see what needs them."""
        study = _store.load(connection, reminder.study_id, reminder.study_hash)
        if study is not None:
            _store.update(connection, study, None, reminded_at=reminder.sent_at)
            self._write_audit(connection, "CENTRAL", "central", "study.reminded", study, "success")

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
            previous_actor=as_seen_by("node", connection, study.last_actor, actor),
        )
        role = first_role(row.roles & set(roles))
        self._check_version(study, version)
        now = clock.now()
        check_local_order(self.process, self.local_decisions(connection, study)[0], target, now)
        vote = str(artefacts["vote"]) if target == "uac_vote" else study.vote
        if target == "uac_vote" and vote not in ("yes", "conditional", "no"):
            raise TransitionRefused("The vote is yes, conditional or no.", code="track.vote")
        approval = grant(study, target, vote=vote, artefacts=artefacts, actor=actor, role=role, now=now)
        public_reason = str(artefacts.get("public_reason", ""))[:500]
        self._step(
            connection, study, target, actor, role, artefacts, now, vote=vote, public_reason=public_reason
        )
        if approval is not None:
            self._sign(connection, approval)
        self._write_audit(connection, actor, role, "track.decide", study, "success", target=target)
        self._announce(connection, "track.changed", track_message(study, target, role, now, artefacts))
        self._changed(connection, study)
        return self._again(connection, study)

    def renew(
        self,
        connection: sa.Connection,
        study: StudyAtSite,
        kind: ApprovalKind,
        *,
        actor: str,
        roles: Collection[Role],
        artefacts: dict[str, Any],
        version: int | None = None,
    ) -> StudyAtSite:
        """Give an approval again, usually with a later last day, while the track stays where it is.

        The rules are those of the step that gave it first: its roles, its artefacts, its four eyes.

        Raises
        ------
        TransitionRefused
            When it was never given, cannot be renewed, or a rule of its step says no.
        """
        target = RENEWABLE.get(kind)
        if target is None or kind not in newest(self.records(connection, study).approvals):
            raise TransitionRefused("There is no such approval to renew here.", code="track.renew")
        row = next(row for row in SITE_TRACK_TABLE.transitions if row.target == target)
        previous = as_seen_by("node", connection, study.last_actor, actor)
        check_renewal(row, study, actor, roles, artefacts, previous)
        self._check_version(study, version)
        role, now = first_role(row.roles & set(roles)), clock.now()
        approval = grant(study, target, vote=study.vote, artefacts=artefacts, actor=actor, role=role, now=now)
        assert approval is not None
        noted = {**artefacts, "renewed": kind.value}
        self._step(connection, study, study.track_state, actor, role, noted, now)
        self._sign(connection, approval)
        self._write_audit(connection, actor, role, "track.renew", study, "success", kind=kind.value)
        self._changed(connection, study)
        return self._again(connection, study)

    def local_standing(self, connection: sa.Connection, study: StudyAtSite) -> list[LocalStanding]:
        """Return the steps of the site's own process with their last decisions, in order."""
        return local_standing(self, connection, study)

    def decide_local(
        self,
        connection: sa.Connection,
        study: StudyAtSite,
        key: str,
        *,
        actor: str,
        roles: Collection[Role],
        positive: bool,
        handed_in: dict[str, str],
        valid_until: str = "",
    ) -> LocalDecision:
        """Take a step of the site's own process; a no, too, stops what runs.

        Parameters
        ----------
        study
            As loaded in this transaction.
        key
            The step.
        actor, roles
            Who decides.
        positive, handed_in
            The decision, and what is handed in with it.
        valid_until
            Last day, written as 2027-12-31; empty without an end.

        Raises
        ------
        TransitionRefused
            When a rule of the process says no, or the site has left the study.
        """
        if study.track_state in LEFT:
            raise TransitionRefused(LEFT[study.track_state], code="track.left")
        decision = record_local(
            self,
            connection,
            study,
            key,
            signing_key=self._key,
            actor=actor,
            roles=roles,
            positive=positive,
            handed_in=handed_in,
            valid_until=last_day(valid_until, clock.now()),
        )
        self._write_audit(
            connection,
            actor,
            decision.actor_role,
            "local.decide",
            study,
            "success",
            step=key,
            positive=positive,
        )
        self._changed(connection, study)
        return decision

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
        self._changed(connection, study)

    def record_refusal(
        self, connection: sa.Connection, study: StudyAtSite, target: str, actor: str, roles: Collection[Role]
    ) -> None:
        """Write into the audit that somebody tried a step and was refused; a transaction of its own."""
        self._write_audit(
            connection, actor, first_role(roles), "track.decide", study, "refused", target=target
        )

    def tick(self, connection: sa.Connection) -> None:
        """Notice what time has ended: stop work and tell CENTRAL; called now and then by the worker."""
        for study in _store.load_all(connection):
            if _store.load_standing(connection, study) is not None:
                self._changed(connection, study)

    # ------------------------------------------------------------------------------------------------ inner

    def _check_version(self, study: StudyAtSite, version: int | None) -> None:
        if version is not None and version != study.version:
            raise TransitionRefused(
                "Somebody else changed this study meanwhile; look again.", code="track.stale"
            )

    def _step(
        self,
        connection: sa.Connection,
        study: StudyAtSite,
        target: str,
        actor: str,
        role: str,
        artefacts: dict[str, Any],
        now: datetime,
        **values: Any,
    ) -> None:
        _store.add_event(connection, study, target, actor, role, artefacts, now)
        if not _store.update(
            connection,
            study,
            study.version,
            track_state=target,
            version=study.version + 1,
            last_actor=actor,
            **values,
        ):
            raise TransitionRefused(
                "Somebody else changed this study meanwhile; look again.", code="track.stale"
            )

    def _again(self, connection: sa.Connection, study: StudyAtSite) -> StudyAtSite:
        changed = _store.load(connection, study.study_id, study.study_hash)
        assert changed is not None
        return changed

    def _sign(self, connection: sa.Connection, approval: Approval) -> None:
        record = approval.to_dict()
        _store.add_approval(connection, record, sign(self._key, DOMAIN + canonical_json(record)))

    def _changed(self, connection: sa.Connection, study: StudyAtSite) -> None:
        """Stop what is no longer allowed and tell CENTRAL, if what is allowed has changed."""
        standing = self.standing(connection, self._again(connection, study))
        said = standing.model_dump(mode="json", exclude={"assessed_at"})
        before = _store.load_standing(connection, study)
        if said == before:
            return
        _store.update(connection, study, None, standing=said)
        if before is not None and before["can_run"] and not standing.can_run:
            self._write_audit(
                connection, "node", "system", "study.blocked", study, "success", code=standing.code
            )
        self._announce(connection, "study.standing", standing)
        for listener in self._listeners:
            listener(connection, study.study_id)

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
