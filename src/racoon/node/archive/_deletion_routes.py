"""Routes by which images are deleted: one person asks with a reason, another one confirms."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from racoon.node.archive.deletion import Deletion, Deletions
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/archive/deletions", tags=["archive"])

Requester = Annotated[User, Depends(require("image.delete"))]
Confirmer = Annotated[User, Depends(require("image.delete.confirm"))]

UidText = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]


class DeletionRequest(BaseModel):
    """What is to be deleted and why.

    Attributes
    ----------
    imaging_study_uid
        The imaging study, or the one that holds the series or instance.
    series_uid, sop_instance_uid
        Only this series, with what was drawn on it; only this instance of the series.
    reason
        Why, in a few words; kept in the proof and in the audit.
    """

    model_config = ConfigDict(extra="forbid")

    imaging_study_uid: UidText
    series_uid: UidText | None = None
    sop_instance_uid: UidText | None = None
    reason: Annotated[str, Field(min_length=3, max_length=500)]


class DeletionDecision(BaseModel):
    """Whether the deletion is carried out.

    Attributes
    ----------
    confirm
        ``true`` deletes for good; ``false`` refuses.
    """

    model_config = ConfigDict(extra="forbid")

    confirm: bool


@router.post("", status_code=201)
def request_deletion(body: DeletionRequest, request: Request, user: Requester) -> dict[str, Any]:
    """Ask for a deletion; nothing is gone before another person has confirmed it."""
    found = _deletions(request).request(
        body.imaging_study_uid,
        series_uid=body.series_uid or "",
        sop_instance_uid=body.sop_instance_uid or "",
        reason=body.reason,
        actor=user.name,
        actor_role=_role(user),
    )
    return describe(found)


@router.get("")
def list_deletions(
    request: Request,
    user: Requester,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[dict[str, Any]]:
    """List deletions, newest first, without their proofs."""
    return [describe(found) | {"proof": None} for found in _deletions(request).newest(limit)]


@router.get("/{deletion_id}")
def read_deletion(deletion_id: str, request: Request, user: Requester) -> dict[str, Any]:
    """Return one deletion with its proof."""
    return describe(_deletions(request).get(deletion_id))


@router.post("/{deletion_id}/decision")
def decide_deletion(
    deletion_id: str, body: DeletionDecision, request: Request, user: Confirmer
) -> dict[str, Any]:
    """Confirm or refuse a deletion that another person asked for."""
    found = _deletions(request).decide(
        deletion_id, is_confirmed=body.confirm, actor=user.name, actor_role=_role(user)
    )
    return describe(found)


def describe(deletion: Deletion) -> dict[str, Any]:
    """Write a deletion as JSON."""
    decided = deletion.decided_at.isoformat() if deletion.decided_at else None
    return asdict(deletion) | {"requested_at": deletion.requested_at.isoformat(), "decided_at": decided}


def _deletions(request: Request) -> Deletions:
    found: Deletions = request.app.state.deletions
    return found


def _role(user: User) -> str:
    return ",".join(sorted(user.roles))
