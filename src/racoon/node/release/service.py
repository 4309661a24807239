"""The gate itself: rules, ledger, audit, then the outgoing line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.errors import Refused
from racoon.node.link.service import Outbox
from racoon.node.release import _store
from racoon.node.release.counting import answer_count
from racoon.node.release.jobs import PROTECT
from racoon.node.release.model import Released
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.populations import near_duplicates, population_hash
from racoon.node.release.squares import SquaresLedger
from racoon.platform.audit import AuditLog
from racoon.protocol.messages import (
    AuditAnchor,
    EnvelopeRejected,
    Heartbeat,
    JobAccepted,
    JobFailed,
    JobOffer,
    JobProgress,
    JobRefused,
    JobResult,
    Message,
    SiteStanding,
    SubjectWithdrawn,
    Suppression,
    TrackChanged,
)

STATUS_MESSAGES: Mapping[str, type[Message]] = {
    "heartbeat": Heartbeat,
    "track.changed": TrackChanged,
    "study.standing": SiteStanding,
    "job.accepted": JobAccepted,
    "job.refused": JobRefused,
    "job.progress": JobProgress,
    "job.failed": JobFailed,
    "envelope.rejected": EnvelopeRejected,
    "audit.anchor": AuditAnchor,
    "subject.withdrawn": SubjectWithdrawn,
}
"""White list of messages without data; everything else leaves as the result of a job, through its rules.

A tombstone names a subject by the pseudonym of one study: whoever holds that subject's data has to know which."""


class ReleaseRefused(Refused):
    """The gate lets nothing of this out."""

    code: ClassVar[str] = "release.refused"


class ReleaseGate:
    """The only way out of the node.

    Parameters
    ----------
    policy
        Disclosure rules in force at this site.
    outbox
        What waits to leave.
    audit
        The node's audit log.
    """

    def __init__(self, policy: DisclosurePolicy, outbox: Outbox, audit: AuditLog) -> None:
        self.policy = policy
        self._outbox = outbox
        self._audit = audit

    def announce(self, connection: sa.Connection, message_type: str, message: Message) -> None:
        """Let a status message out; its form allows no data.

        Raises
        ------
        ReleaseRefused
            For any other message.
        """
        if STATUS_MESSAGES.get(message_type) is not type(message):
            raise ReleaseRefused("Only listed status messages leave without a release.")
        self._outbox.put(connection, message_type, message)

    def submit(
        self,
        connection: sa.Connection,
        offer: JobOffer,
        aggregate: Mapping[str, Any],
        files: Mapping[str, bytes],
    ) -> Released:
        """Protect what a job found, write it into the ledger, and let it out; all in the caller's transaction.

        Parameters
        ----------
        connection
            Open write transaction, the one in which the job ends.
        offer
            The job; its kind names the rules.
        aggregate
            Unprotected, of the form ``release.jobs`` describes for the kind.
        files
            Files that travel beside the result if the rules hold nothing back.

        Returns
        -------
        Released
            What left.

        Raises
        ------
        ReleaseRefused
            When no rules exist for the kind.
        """
        protect = PROTECT.get(offer.kind)
        if protect is None:
            raise ReleaseRefused("No disclosure rules exist for this kind of job; nothing leaves.")
        if offer.kind == "count":
            released = answer_count(
                connection,
                aggregate,
                self.policy,
                self._audit,
                requester=str(offer.parameters.get("requester", ""))[:80],
                project=offer.study_id,
            )
        elif offer.kind == "analyse":
            released = self._analyse(connection, offer, aggregate)
        else:
            released = protect(aggregate, self.policy)
        may_files_leave = released.payload.get("is_released", not files)
        artifacts = (
            {name: self._outbox.put_artifact(connection, data) for name, data in files.items()}
            if may_files_leave
            else {}
        )
        number = _store.write(
            connection,
            job_id=offer.job_id,
            study_id=offer.study_id,
            kind=offer.kind,
            payload_hash=content_hash(released.payload),
            payload=released.payload,
            suppressed=[item.to_dict() for item in released.suppressed],
            artifacts=artifacts,
            policy_version=self.policy.version,
        )
        self._audit.append(
            connection,
            actor="node",
            actor_role="release",
            action="release.out",
            target=f"job/{offer.job_id}",
            purpose=offer.study_id,
            outcome="success",
            details={
                "release": number,
                "kind": offer.kind,
                "payload_hash": content_hash(released.payload),
                "suppressed": len(released.suppressed),
                "policy": self.policy.version,
            },
        )
        result = JobResult(
            job_id=offer.job_id,
            run_id=offer.run_id,
            kind=offer.kind,
            release_id=str(number),
            policy_version=self.policy.version,
            payload=released.payload,
            suppressed=[
                Suppression(
                    part=f"{item.item}: {item.part}"[:200],
                    code=item.reason_code,
                    public_reason=item.public_reason,
                )
                for item in released.suppressed
            ],
            artifacts=artifacts,
        )
        self._outbox.put(connection, "job.result", result)
        return released

    def releases(self, connection: sa.Connection, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest releases, whole: what left this site, when, for which study."""
        return _store.load_newest(connection, limit)

    def _analyse(self, connection: sa.Connection, offer: JobOffer, aggregate: Mapping[str, Any]) -> Released:
        """Protect a round of an analysis, and remember about whom sums leave with it."""
        populations: Mapping[str, frozenset[str]] = aggregate["populations"]
        earlier = _store.load_populations(connection)
        cells = aggregate.get("cells", ())
        squares = SquaresLedger(connection, offer.study_id, aggregate["plan_hash"], self.policy)
        held = near_duplicates(populations, earlier, self.policy)
        seen = dict(earlier)
        for _, members in cells:
            # A cell too small to be shown tells nothing, and is like every other small one.
            large = {name: own for name, own in members.items() if len(own) >= self.policy.minimum_cell}
            held |= near_duplicates(large, seen, self.policy)
            # What one round asks twice must not be subtracted either.
            seen |= {population_hash(own): own for name, own in large.items() if name not in held}
        for name, question, scores in aggregate.get("scores", ()):
            held |= squares.judge(name, question, scores)
        released = PROTECT["analyse"]({**aggregate, "held": held}, self.policy)
        answered = [
            answer["question"] for answer in released.payload["answers"] if answer["value"] is not None
        ]
        left = {name: populations[name] for name in sorted({item["subgroup"] for item in answered})}
        for question, members in cells:
            if question.to_dict() in answered:
                left |= {name: own for name, own in members.items() if len(own) >= self.policy.minimum_cell}
        for name, chosen in left.items():
            digest = population_hash(chosen)
            if digest not in earlier:
                earlier[digest] = chosen
                _store.save_population(
                    connection,
                    digest,
                    sorted(chosen),
                    study_id=offer.study_id,
                    plan_hash=aggregate["plan_hash"],
                    subgroup=name[:200],
                )
        for _, question, scores in aggregate.get("scores", ()):
            if question.to_dict() in answered:
                squares.save(question, scores)
        return released
