"""What one may ask the site's decisions."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, ClassVar

import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from racoon.domain.canonical import canonical_json
from racoon.domain.governance.approval import RENEWABLE, Approval, ApprovalKind, Purpose, newest
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.domain.identity import Role
from racoon.domain.study import StudyDefinition
from racoon.errors import Defect
from racoon.node.approvals import _store
from racoon.node.approvals._steps import check_renewal, first_role, track_message
from racoon.node.approvals.model import (
    WAITING_VERSIONS,
    NotApproved,
    Records,
    StudyAtSite,
    check_job,
    find_obstacle,
    grant,
    standing_of,
)
from racoon.platform import clock
from racoon.platform.audit import AuditLog, Outcome
from racoon.platform.auth.people import as_seen_by
from racoon.platform.certificates import public_key_text, sign, verify
from racoon.protocol.messages import (
    JobOffer,
    Message,
    SiteStanding,
    StudyOffer,
    StudyReminder,
    StudyState,
)

Announce = Callable[[sa.Connection, str, Message], None]
"""Hands a decision to the outgoing line in the same transaction; ``app`` registers it."""

Listener = Callable[[sa.Connection, str], None]
"""Told, in the transaction of the change, that what is allowed for a study may have changed."""

_DOMAIN = b"racoon-approval-v1\x00"
"""Separates these signatures from any other use of the same key."""


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
    key
        The node's Ed25519 key: each decision is signed with it when it is made, and its signature is checked each
        time something asks whether it may run.
    feasibility_enabled
        Standing permission to answer protected feasibility counts.
    """

    def __init__(
        self, audit: AuditLog, announce: Announce, key: Ed25519PrivateKey, *, feasibility_enabled: bool
    ) -> None:
        self._audit = audit
        self._announce = announce
        self._key = key
        self._public = public_key_text(key)
        self._feasibility_enabled = feasibility_enabled
        self._listeners: list[Listener] = []
        self._verified: set[tuple[bytes, str]] = set()

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

    def studies(self, connection: sa.Connection) -> list[StudyAtSite]:
        """Return all studies this site was asked for, newest first."""
        return _store.load_all(connection)

    def study(self, connection: sa.Connection, study_id: str, study_hash: str) -> StudyAtSite | None:
        """Return one version of a study, or ``None``."""
        return _store.load(connection, study_id, study_hash)

    def current(self, connection: sa.Connection, study_id: str, study_hash: str | None = None) -> StudyAtSite:
        """Return the version of a study that is in force, or the newest one while none is.

        Parameters
        ----------
        study_id
            The study.
        study_hash
            Return exactly this version instead.

        Raises
        ------
        NotApproved
            When the site does not know it.
        """
        found = self.versions(connection, study_id)
        if study_hash:
            found = [study for study in found if study.study_hash == study_hash]
        in_force = [study for study in found if study.central_state not in WAITING_VERSIONS]
        for study in (*in_force, *found):
            return study
        raise NotApproved("This site does not know this study.", code="approvals.unknown_study")

    def versions(self, connection: sa.Connection, study_id: str) -> list[StudyAtSite]:
        """Return all versions of a study this site was asked for, newest first."""
        return [study for study in _store.load_all(connection) if study.study_id == study_id]

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
            previous_actor=as_seen_by("node", connection, study.last_actor, actor),
        )
        role = first_role(row.roles & set(roles))
        self._check_version(study, version)
        now = clock.now()
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

    def authorise(self, connection: sa.Connection, offer: JobOffer) -> StudyAtSite | None:
        """Check a job against the site's own records.

        Raises
        ------
        NotApproved
            With the first rule that says no.
        """
        study = _store.load(connection, offer.study_id, offer.study_hash)
        records = self.records(connection, study) if study else Records()
        check_job(offer, study, records, feasibility_enabled=self._feasibility_enabled, now=clock.now())
        return study

    def records(self, connection: sa.Connection, study: StudyAtSite) -> Records:
        """Return the signed decisions on a version of a study whose signatures fit."""
        found = []
        stored = _store.load_approvals(connection, study.study_id, study.study_hash)
        for record, signature in stored:
            text = _DOMAIN + canonical_json(record)
            # A signature that fitted once fits for ever; looking it up is what makes reading images cheap.
            if (text, signature) not in self._verified:
                if not verify(self._public, signature, text):
                    continue
                self._verified.add((text, signature))
            found.append(Approval.from_dict(record))
        return Records(tuple(found), len(found) == len(stored))

    def require(self, connection: sa.Connection, study: StudyAtSite, purpose: Purpose) -> None:
        """Check that this site allows a purpose on the dataset it froze for a version of a study.

        Raises
        ------
        NotApproved
            With the first rule that says no.
        """
        block = find_obstacle(purpose, study, self.records(connection, study), clock.now())
        if block is not None:
            raise NotApproved(block.public_reason, code=block.code)

    def allows(self, connection: sa.Connection, study_id: str, purpose: Purpose) -> bool:
        """Tell whether this site allows a purpose for the version of a study that is in force."""
        try:
            self.require(connection, self.current(connection, study_id), purpose)
        except NotApproved:
            return False
        return True

    def standing(self, connection: sa.Connection, study: StudyAtSite) -> SiteStanding:
        """Say whether work of a study may run here now, and if not, why."""
        return standing_of(study, self.records(connection, study), clock.now())

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
        _store.add_approval(connection, record, sign(self._key, _DOMAIN + canonical_json(record)))

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
