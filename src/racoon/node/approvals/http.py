"""Routes of the site's decisions."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from racoon.domain.governance.approval import ApprovalKind
from racoon.domain.governance.site_track import SITE_TRACK_TABLE
from racoon.errors import Refused
from racoon.node.approvals.model import LocalStanding, StudyAtSite
from racoon.node.approvals.service import Approvals
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/studies", tags=["approvals"])

Reader = Annotated[User, Depends(require("study.read"))]
Decider = Annotated[User, Depends(require("track.decide"))]

RowVersion = Annotated[int, Field(ge=-1, le=2**31 - 1)]
"""Version of a row, as the database can hold it."""


class Decision(BaseModel):
    """One step of the site's track.

    Attributes
    ----------
    target
        Wanted state.
    version
        Version of the track the person saw.
    artefacts
        What is handed in: vote, ethics vote, data protection statement, contract, last day, comment, public reason.
    study_hash
        A version of the study other than the one in force, for example an amendment.
    """

    model_config = ConfigDict(extra="forbid")

    target: Annotated[str, Field(max_length=32)]
    version: RowVersion
    artefacts: dict[str, Any] = {}
    study_hash: Annotated[str | None, Field(max_length=64)] = None


class Renewal(BaseModel):
    """An approval given again.

    Attributes
    ----------
    kind
        Which one.
    version
        Version of the track the person saw.
    artefacts
        What the step that gave it first needs, and ``valid_until``.
    study_hash
        A version of the study other than the one in force.
    """

    model_config = ConfigDict(extra="forbid")

    kind: ApprovalKind
    version: RowVersion
    artefacts: dict[str, Any] = {}
    study_hash: Annotated[str | None, Field(max_length=64)] = None


class LocalStepDecision(BaseModel):
    """A decision of the site's own process.

    Attributes
    ----------
    positive
        Whether it is a yes.
    handed_in
        What the step asks for, by field code, and ``comment``.
    valid_until
        Last day, written as 2027-12-31; empty without an end.
    study_hash
        A version of the study other than the one in force.
    """

    model_config = ConfigDict(extra="forbid")

    positive: bool
    handed_in: Annotated[dict[str, Annotated[str, Field(max_length=2000)]], Field(max_length=50)] = {}
    valid_until: Annotated[str, Field(max_length=10)] = ""
    study_hash: Annotated[str | None, Field(max_length=64)] = None


@router.get("")
def list_studies(request: Request, user: Reader) -> list[dict[str, Any]]:
    """List the studies this site was asked for, newest first."""
    approvals: Approvals = request.app.state.approvals
    with request.app.state.database.connect() as connection:
        return [describe(study) for study in approvals.studies(connection)]


@router.get("/{study_id}")
def show_study(
    study_id: str,
    request: Request,
    user: Reader,
    version: Annotated[str | None, Query(max_length=64)] = None,
) -> dict[str, Any]:
    """Show a study with the history of the site's decisions, and whether work may run now."""
    approvals: Approvals = request.app.state.approvals
    with request.app.state.database.connect() as connection:
        study = approvals.current(connection, study_id, version)
        return {
            **describe(study),
            "standing": approvals.standing(connection, study).model_dump(mode="json"),
            "local_process": [show_local(item) for item in approvals.local_standing(connection, study)],
            "versions": [item.study_hash for item in approvals.versions(connection, study_id)],
            "definition": study.definition.to_dict(),
            "history": [
                {**event, "decided_at": event["decided_at"].isoformat()}
                for event in approvals.history(connection, study_id)
            ],
        }


@contextmanager
def _refusals_kept(
    request: Request, user: User, study_id: str, study_hash: str | None, what: str
) -> Iterator[sa.Connection]:
    """Give a transaction for a decision; a refused one is undone and audited in a transaction of its own."""
    approvals: Approvals = request.app.state.approvals
    database = request.app.state.database
    try:
        with database.begin() as connection:
            yield connection
    except Refused:
        with database.begin() as connection:
            study = approvals.current(connection, study_id, study_hash)
            approvals.record_refusal(connection, study, what, user.name, user.roles)
        raise


@router.post("/{study_id}/track")
def decide(study_id: str, decision: Decision, request: Request, user: Decider) -> dict[str, Any]:
    """Take one step of the site's track; refused steps are audited too."""
    approvals: Approvals = request.app.state.approvals
    with _refusals_kept(request, user, study_id, decision.study_hash, decision.target) as connection:
        study = approvals.decide(
            connection,
            approvals.current(connection, study_id, decision.study_hash),
            decision.target,
            actor=user.name,
            roles=user.roles,
            artefacts=decision.artefacts,
            version=decision.version,
        )
    return describe(study)


@router.post("/{study_id}/approvals")
def renew(study_id: str, renewal: Renewal, request: Request, user: Decider) -> dict[str, Any]:
    """Give an approval again, usually with a later last day; refused attempts are audited too."""
    approvals: Approvals = request.app.state.approvals
    with _refusals_kept(request, user, study_id, renewal.study_hash, renewal.kind.value) as connection:
        study = approvals.renew(
            connection,
            approvals.current(connection, study_id, renewal.study_hash),
            renewal.kind,
            actor=user.name,
            roles=user.roles,
            artefacts=renewal.artefacts,
            version=renewal.version,
        )
    return describe(study)


@router.post("/{study_id}/local-process/{step}")
def decide_local(
    study_id: str, step: str, decision: LocalStepDecision, request: Request, user: Decider
) -> list[dict[str, Any]]:
    """Take a step of the site's own process; refused steps are audited too."""
    approvals: Approvals = request.app.state.approvals
    with _refusals_kept(request, user, study_id, decision.study_hash, f"local:{step[:40]}") as connection:
        study = approvals.current(connection, study_id, decision.study_hash)
        approvals.decide_local(
            connection,
            study,
            step,
            actor=user.name,
            roles=user.roles,
            positive=decision.positive,
            handed_in=decision.handed_in,
            valid_until=decision.valid_until,
        )
        return [show_local(item) for item in approvals.local_standing(connection, study)]


def show_local(item: LocalStanding) -> dict[str, Any]:
    """Return one step of the site's own process and its last decision."""
    return {
        "key": item.step.key,
        "title": dict(item.step.title),
        "before": item.step.before,
        "roles": sorted(role.value for role in item.step.roles),
        "is_next": item.is_next,
        "is_done": item.is_done,
        "decision": item.decision.to_dict() if item.decision else None,
    }


def describe(study: StudyAtSite) -> dict[str, Any]:
    """Return what a list shows of a study."""
    return {
        "study_id": study.study_id,
        "study_hash": study.study_hash,
        "title": study.definition.title,
        "mode": study.definition.mode,
        "central_state": study.central_state,
        "track_state": study.track_state,
        "next_states": list(SITE_TRACK_TABLE.targets(study.track_state)),
        "version": study.version,
        "vote": study.vote,
        "dataset_hash": study.dataset_hash,
        "offered_at": study.offered_at.isoformat(),
    }
