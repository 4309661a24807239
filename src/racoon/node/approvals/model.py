"""Words and rules of a site's decisions: what a job needs before it may run here.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from racoon.domain.canonical import content_hash
from racoon.domain.governance.site_track import OPTED_IN_STATES, RELEASED_STATES
from racoon.domain.governance.study import LIVE_STATES
from racoon.domain.study import StudyDefinition
from racoon.errors import Refused
from racoon.protocol.messages import JobOffer


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


FREEZE_STATES = frozenset({"preparing", *LIVE_STATES})
"""Study states in which a dataset may be frozen."""


def check_job(
    offer: JobOffer, study: StudyAtSite | None, *, feasibility_enabled: bool, now: datetime
) -> None:
    """Check that this site allows a job, from its own records alone.

    Parameters
    ----------
    offer
        What CENTRAL asks.
    study
        The site's record of exactly the offered study version, or ``None``.
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
    allowed_tracks = OPTED_IN_STATES if offer.kind == "freeze" else RELEASED_STATES
    allowed_states = FREEZE_STATES if offer.kind == "freeze" else LIVE_STATES
    if study.track_state not in allowed_tracks:
        raise NotApproved(f"This site has not released the study (its state here is {study.track_state}).")
    if study.central_state not in allowed_states:
        raise NotApproved(
            f"The study is {study.central_state}; no work on data now.", code="approvals.study_state"
        )
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
