"""Words and rules of a site's decisions: what a job needs before it may run here.  Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, ClassVar

from racoon.domain.canonical import content_hash
from racoon.domain.governance.approval import (
    GRANTED_BY,
    PURPOSE_OF_JOB,
    TAMPERED,
    Approval,
    ApprovalKind,
    Block,
    Purpose,
    find_block,
    newest,
)
from racoon.domain.governance.local_process import LocalDecision, LocalStep
from racoon.domain.governance.machine import TransitionRefused
from racoon.domain.governance.site_track import OPTED_IN_STATES, RELEASED_STATES
from racoon.domain.governance.study import LIVE_STATES
from racoon.domain.study import StudyDefinition
from racoon.errors import Refused
from racoon.protocol.messages import JobOffer, SiteApproval, SiteStanding


class NotApproved(Refused):
    """This site has not allowed this job."""

    code: ClassVar[str] = "approvals.not_approved"


@dataclass(frozen=True)
class StudyAtSite:
    """One version of a study as this site knows it.

    Parameters
    ----------
    study_id, study_hash
        The study and the version of its definition; approving one version approves no other.
    definition
        What was asked, as received and checked against its hash.
    central_state
        Last state CENTRAL announced.
    track_state
        This site's own decision so far.
    version
        Optimistic version number of the track.
    last_actor
        Who took the last step; a second person is needed for four-eyes steps.
    vote
        The committee's vote: ``yes``, ``conditional``, ``no`` or ``None``.
    dataset_hash
        Hash of the dataset frozen for it, if any.
    public_reason
        What the site said with its last step, in words that CENTRAL sees too.
    reminded_at
        When CENTRAL last said that it waits for a decision.
    """

    study_id: str
    study_hash: str
    definition: StudyDefinition
    central_state: str
    track_state: str
    version: int
    last_actor: str | None
    vote: str | None
    dataset_hash: str | None
    offered_at: datetime
    public_reason: str = ""
    reminded_at: datetime | None = None


@dataclass(frozen=True)
class Records:
    """The signed decisions on one version of a study.

    Parameters
    ----------
    approvals
        Those whose signatures fit.
    are_whole
        Whether all of them did, those of the site's own process too.
    local_block, local_block_of_freeze
        Why the site's own process does not allow work on data, or a freeze, which comes before the last steps; ``None``
        when it does.
    """

    approvals: tuple[Approval, ...] = ()
    are_whole: bool = True
    local_block: Block | None = None
    local_block_of_freeze: Block | None = None


@dataclass(frozen=True)
class LocalStanding:
    """Where a version of a study stands at one step of the site's own process.

    Parameters
    ----------
    step
        The step.
    decision
        Its last decision, if any.
    is_next
        Whether it is the one to take now.
    is_done
        Whether a valid yes answers it.
    """

    step: LocalStep
    decision: LocalDecision | None
    is_next: bool
    is_done: bool


FREEZE_STATES = frozenset({"preparing", *LIVE_STATES})
"""Study states in which a dataset may be frozen."""

WAITING_VERSIONS = frozenset({"amend_voting", "superseded", "amend_refused", "amend_withdrawn"})
"""States of a version that CENTRAL announces while another version of the study is in force."""

LEFT: Mapping[str, str] = {
    "stopped": "This site has stopped the study.",
    "declined": "This site has declined the study.",
}
"""What is said of a study the site has left; the site's reason follows a colon."""

NOT_RELEASED = "This site has not released the study"
NOT_IN_THIS_STATE = "No work on data in the present state of the study"


def find_obstacle(purpose: Purpose, study: StudyAtSite, records: Records, now: datetime) -> Block | None:
    """Find the first reason why this site's own records do not allow a purpose; ``None`` when they do.

    Parameters
    ----------
    purpose
        What is wanted.
    study, records
        The site's records of exactly the version of the study it is wanted for.
    now
        Aware time.
    """
    if study.track_state in LEFT:
        text = LEFT[study.track_state]
        if study.public_reason:
            text = f"{text.removesuffix('.')}: {study.public_reason}"
        return Block(f"approvals.{study.track_state}", text)
    freezing = purpose is Purpose.FREEZE
    if study.track_state not in (OPTED_IN_STATES if freezing else RELEASED_STATES):
        return Block("approvals.not_approved", f"{NOT_RELEASED}: {study.track_state}")
    if study.central_state not in (FREEZE_STATES if freezing else LIVE_STATES):
        return Block("approvals.study_state", f"{NOT_IN_THIS_STATE}: {study.central_state}")
    if not records.are_whole:
        return Block("approvals.tampered", TAMPERED)
    local_block = records.local_block_of_freeze if freezing else records.local_block
    if local_block is not None:
        return local_block
    return find_block(
        purpose,
        records.approvals,
        study_id=study.study_id,
        study_hash=study.study_hash,
        dataset_hash=study.dataset_hash or "",
        now=now,
    )


def check_job(
    offer: JobOffer,
    study: StudyAtSite | None,
    records: Records,
    *,
    feasibility_enabled: bool,
    now: datetime,
) -> None:
    """Check that this site allows a job, from its own records alone.

    Parameters
    ----------
    offer
        What CENTRAL asks.
    study, records
        The site's records of exactly the offered study version; ``None`` when it knows none.
    feasibility_enabled
        The site's standing permission to answer protected feasibility counts.
    now
        Aware time.

    Raises
    ------
    NotApproved
        With the first rule that says no.
    """
    if offer.content_hash != job_content_hash(offer.kind, offer.parameters):
        raise NotApproved("The job's content does not fit its hash.", code="approvals.content_hash")
    if offer.not_after < now:
        raise NotApproved("The job's time has passed.", code="approvals.expired")
    if offer.kind == "count":
        if not feasibility_enabled:
            raise NotApproved(
                "This site does not answer feasibility counts.", code="approvals.feasibility_off"
            )
        return
    if study is None:
        raise NotApproved(
            "This site does not know this version of the study.", code="approvals.unknown_study"
        )
    _check_plan(offer, study)
    block = find_obstacle(PURPOSE_OF_JOB[offer.kind], study, records, now)
    if block is not None:
        raise NotApproved(block.public_reason, code=block.code)
    if offer.kind != "freeze" and offer.parameters.get("dataset_hash") != study.dataset_hash:
        raise NotApproved("The job names another dataset than the one frozen here.", code="approvals.dataset")


def _check_plan(offer: JobOffer, study: StudyAtSite) -> None:
    plan = offer.parameters.get("plan")
    if offer.kind == "freeze":
        if offer.parameters.get("cohort") != study.definition.cohort:
            raise NotApproved(
                "The job freezes another cohort than the approved one.", code="approvals.cohort"
            )
        return
    if (
        plan is None
        or offer.plan_hash != content_hash(plan)
        or offer.plan_hash not in study.definition.plan_hashes
    ):
        raise NotApproved("The job's plan is not part of the approved study.", code="approvals.plan")


def job_content_hash(kind: str, parameters: Mapping[str, Any]) -> str:
    """Compute the hash that a job offer carries over its kind and parameters."""
    return content_hash({"kind": kind, "parameters": dict(parameters)})


def grant(
    study: StudyAtSite,
    target: str,
    *,
    vote: str | None,
    artefacts: Mapping[str, Any],
    actor: str,
    role: str,
    now: datetime,
) -> Approval | None:
    """Make the record of a step to ``target``; ``None`` for a step that decides nothing by itself.

    Raises
    ------
    TransitionRefused
        When the last day or a purpose cannot be read.
    """
    kind = GRANTED_BY.get(target)
    if kind is None:
        return None
    return Approval(
        kind=kind,
        study_id=study.study_id,
        study_hash=study.study_hash,
        positive=kind is not ApprovalKind.UAC or target == "conditions_met" or vote == "yes",
        purposes=_purposes(artefacts.get("purposes"), study),
        dataset_hash=(study.dataset_hash or "") if kind is ApprovalKind.RELEASE else "",
        decided_at=now,
        valid_until=last_day(artefacts.get("valid_until"), now),
        actor=actor,
        actor_role=role,
        version=study.version + 1,
    )


def last_day(text: Any, now: datetime) -> date | None:
    """Read a last day; nothing is no end.

    Raises
    ------
    TransitionRefused
        When it cannot be read or is over.
    """
    if not text:
        return None
    try:
        day = date.fromisoformat(str(text))
    except ValueError:
        day = date.min
    if day < now.date():
        raise TransitionRefused(
            "The last day is written as 2027-12-31 and is not over yet.", code="track.last_day"
        )
    return day


def _purposes(given: Any, study: StudyAtSite) -> tuple[Purpose, ...]:
    possible = tuple(
        purpose for purpose in Purpose if purpose is not Purpose.EXPORT or study.definition.mode == "pooled"
    )
    if not given:
        return possible
    names = given if isinstance(given, list) else str(given).replace(",", " ").split()
    if strange := sorted({str(name) for name in names} - {purpose.value for purpose in possible}):
        raise TransitionRefused(f"The study does not ask for: {', '.join(strange)}.", code="track.purpose")
    return tuple(purpose for purpose in possible if purpose.value in names)


def standing_of(study: StudyAtSite, records: Records, now: datetime) -> SiteStanding:
    """Say whether work may run, as CENTRAL is told.

    Parameters
    ----------
    study, records
        The site's records of one version of a study.
    now
        Aware time.
    """
    held = newest(records.approvals)
    release = held.get(ApprovalKind.RELEASE)
    block = find_obstacle(_sample_purpose(release.purposes if release else ()), study, records, now)
    return SiteStanding(
        study_id=study.study_id,
        study_hash=study.study_hash,
        assessed_at=now,
        can_run=block is None,
        code=block.code if block else "",
        public_reason=block.public_reason[:500] if block else "",
        approvals=[
            SiteApproval(
                kind=kind.value,
                is_positive=held[kind].positive,
                decided_at=held[kind].decided_at,
                valid_until=held[kind].valid_until,
            )
            for kind in ApprovalKind
            if kind in held
        ],
    )


def _sample_purpose(allowed: Collection[Purpose]) -> Purpose:
    """A purpose the release covers, so that a narrow release does not look like none."""
    return next(
        (purpose for purpose in Purpose if purpose in allowed and purpose is not Purpose.FREEZE),
        Purpose.MEASURE,
    )
