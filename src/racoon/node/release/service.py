"""The gate itself: rules, ledger, audit, then the outgoing line."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.domain.canonical import content_hash
from racoon.errors import Refused
from racoon.node.link.parcels import OUT, Parcel, Parcels
from racoon.node.link.service import Outbox
from racoon.node.release import _store
from racoon.node.release.counting import answer_count
from racoon.node.release.jobs import PROTECT
from racoon.node.release.model import Released
from racoon.node.release.policy import DisclosurePolicy
from racoon.node.release.populations import near_duplicates, population_hash
from racoon.node.release.reviews import Review, Reviews, ReviewState
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
    SiteReadiness,
    SiteStanding,
    SubjectWithdrawn,
    Suppression,
    TrackChanged,
)
from racoon.protocol.sealing import PeerCode

__all__ = ["OUT", "STATUS_MESSAGES", "Parcel", "Parcels", "ReleaseGate", "ReleaseRefused"]

STATUS_MESSAGES: Mapping[str, type[Message]] = {
    "heartbeat": Heartbeat,
    "site.readiness": SiteReadiness,
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


CheckAgain = Callable[[sa.Connection, JobOffer, Mapping[str, Any]], None]
"""Asks again, before a reviewed result leaves, whether it still may; raises when not.  ``app`` registers it."""


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
    reviews
        Where people look at what no rule lets out by itself.
    white_list
        Kinds of jobs whose protected results leave without a person; all others wait for one.
    """

    def __init__(
        self,
        policy: DisclosurePolicy,
        outbox: Outbox,
        audit: AuditLog,
        reviews: Reviews | None = None,
        white_list: Collection[str] = frozenset(PROTECT),
    ) -> None:
        self.policy = policy
        self._outbox = outbox
        self._audit = audit
        self.reviews = reviews or Reviews(audit)
        self._white_list = frozenset(white_list)
        self.check_again: CheckAgain = lambda _connection, _offer, _basis: None
        self.reviews.on("result", accepted=self._let_reviewed_out, refused=self._say_refusal)

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
        *,
        basis: Mapping[str, Any] | None = None,
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
        basis
            What was true when the work began; asked again before a reviewed result leaves.

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
        elif offer.kind == "freeze" and aggregate.get("matching") is not None:
            released = self._freeze_matched(connection, offer, aggregate)
        else:
            released = protect(aggregate, self.policy)
        may_files_leave = released.payload.get("is_released", not files)
        held = {
            name: self._outbox.hold_artifact(data)
            for name, data in (files.items() if may_files_leave else ())
        }
        suppressed = [item.to_dict() for item in released.suppressed]
        if offer.kind in self._white_list:
            self._let_out(connection, offer, released.payload, suppressed, held)
            return released
        self.reviews.ask(
            connection,
            "result",
            offer.study_id,
            f"job/{offer.job_id}",
            {"kind": offer.kind, "payload": released.payload, "suppressed": suppressed, "files": len(held)},
            asked_by="CENTRAL",
            held={
                "offer": offer.model_dump(mode="json"),
                "artifacts": held,
                "basis": dict(basis or {}),
            },
        )
        waits = JobProgress(
            job_id=offer.job_id,
            run_id=offer.run_id,
            done=1,
            total=1,
            note="Waits for a reviewer of this site.",
        )
        self.announce(connection, "job.progress", waits)
        return released

    def _let_reviewed_out(self, connection: sa.Connection, review: Review) -> None:
        """Let out what people have accepted, as they saw it."""
        offer, facts = JobOffer.model_validate(review.held["offer"]), review.facts
        # Days may lie between the work and the reviewer: approvals end, and subjects withdraw.
        self.check_again(connection, offer, review.held["basis"])
        self._let_out(connection, offer, facts["payload"], facts["suppressed"], review.held["artifacts"])

    def _say_refusal(self, connection: sa.Connection, review: Review) -> None:
        offer = JobOffer.model_validate(review.held["offer"])
        failed = JobFailed(
            job_id=offer.job_id,
            run_id=offer.run_id,
            code="release.review_refused",
            public_message=f"A reviewer of this site did not release the result: {review.last_reason}"[:500],
        )
        self.announce(connection, "job.failed", failed)

    def _let_out(
        self,
        connection: sa.Connection,
        offer: JobOffer,
        payload: Mapping[str, Any],
        suppressed: Sequence[Mapping[str, Any]],
        artifacts: Mapping[str, str],
    ) -> None:
        for digest in artifacts.values():
            self._outbox.send_held(connection, digest)
        number = self._write_ledger(
            connection,
            f"job/{offer.job_id}",
            job_id=offer.job_id,
            study_id=offer.study_id,
            kind=offer.kind,
            payload=dict(payload),
            suppressed=[dict(item) for item in suppressed],
            artifacts=dict(artifacts),
        )
        result = JobResult(
            job_id=offer.job_id,
            run_id=offer.run_id,
            kind=offer.kind,
            release_id=str(number),
            policy_version=self.policy.version,
            payload=dict(payload),
            suppressed=[
                Suppression(
                    part=f"{item['item']}: {item['part']}"[:200],
                    code=item["reason_code"],
                    public_reason=item["public_reason"],
                )
                for item in suppressed
            ],
            artifacts=dict(artifacts),
        )
        self._outbox.put(connection, "job.result", result)

    def _write_ledger(self, connection: sa.Connection, target: str, **values: Any) -> int:
        digest = content_hash(values["payload"])
        number = _store.write(connection, payload_hash=digest, policy_version=self.policy.version, **values)
        self._audit.append(
            connection,
            actor="node",
            actor_role="release",
            action="release.out",
            target=target,
            purpose=values["study_id"],
            outcome="success",
            details={
                "release": number,
                "kind": values["kind"],
                "payload_hash": digest,
                "suppressed": len(values["suppressed"]),
                "policy": self.policy.version,
            },
        )
        return number

    def ship(
        self,
        connection: sa.Connection,
        parcels: Parcels,
        shipment_id: str,
        items: Sequence[Parcel],
        payload: Any,
    ) -> None:
        """Let the closed files of an approved and reviewed export out, and write it into the ledger.

        Parameters
        ----------
        parcels, items
            The files, closed for the pool's key.
        payload
            Counts and hashes of what leaves; for the ledger and whoever reads it.

        Raises
        ------
        ReleaseRefused
            When no accepted review of this export exists.
        """
        review = self.reviews.of_target(connection, f"shipment/{shipment_id}")
        if review is None or review.state is not ReviewState.ACCEPTED:
            raise ReleaseRefused("No reviewer of this site has accepted this export.")
        for item in items:
            parcels.queue(connection, OUT, item)
        self._write_ledger(
            connection,
            f"shipment/{shipment_id}",
            job_id=f"export-{shipment_id}",
            study_id=review.study_id,
            kind="export",
            payload=dict(payload),
            suppressed=[],
            artifacts={},
        )

    def post(self, connection: sa.Connection, peer: PeerCode, kind: str, message: Message) -> None:
        """Let a letter to another node out; the forms of letters allow no data."""
        self._outbox.put_letter(connection, peer, kind, message)

    def releases(self, connection: sa.Connection, limit: int = 100) -> list[dict[str, Any]]:
        """Return the newest releases, whole: what left this site, when, for which study."""
        return _store.load_newest(connection, limit)

    def _freeze_matched(
        self, connection: sa.Connection, offer: JobOffer, aggregate: Mapping[str, Any]
    ) -> Released:
        """Protect a matched dataset, and remember whose balance leaves with it."""
        groups: Mapping[str, frozenset[str]] = aggregate["matching"]["groups"]
        earlier = _store.load_populations(connection)
        held = near_duplicates(groups, earlier, self.policy)
        matching = {**aggregate["matching"], "held": sorted(held)}
        released = PROTECT["freeze"]({**aggregate, "matching": matching}, self.policy)
        if (released.payload["matching"] or {}).get("balance") is not None:
            for name, members in sorted(groups.items()):
                digest = population_hash(members)
                if digest not in earlier:
                    earlier[digest] = members
                    _store.save_population(
                        connection,
                        digest,
                        sorted(members),
                        study_id=offer.study_id,
                        plan_hash=str(aggregate["dataset_hash"]),
                        subgroup=f"matching: {name}",
                    )
        return released

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
