"""Routes by which people are let into the images of a research study, and out again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request

from racoon.node.archive.access import ImageAccess
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/archive/grants", tags=["archive"])

Granter = Annotated[User, Depends(require("image.grant"))]
UserName = Annotated[str, Path(max_length=80)]
StudyId = Annotated[str, Path(max_length=80)]

SeriesOfStudy = Callable[[str], Sequence[str]]
"""Port: the series of the dataset frozen for a research study, masks included; the application registers it."""


@router.get("")
def list_grants(request: Request, user: Granter) -> list[dict[str, Any]]:
    """List who was let into the images of which research study."""
    return [asdict(item) | {"granted_at": item.granted_at.isoformat()} for item in _access(request).grants()]


@router.put("/{user_name}/{study_id}")
def grant(request: Request, user: Granter, user_name: UserName, study_id: StudyId) -> dict[str, int]:
    """Let a person see the images of the dataset that is frozen for a research study."""
    series_of_study: SeriesOfStudy = request.app.state.series_of_study
    role = ",".join(sorted(user.roles))
    count = _access(request).grant(
        user_name, study_id, series_of_study(study_id), actor=user.name, actor_role=role
    )
    return {"imaging_studies": count}


@router.delete("/{user_name}/{study_id}")
def revoke(request: Request, user: Granter, user_name: UserName, study_id: StudyId) -> dict[str, int]:
    """Take the right back; it ends with the next request."""
    role = ",".join(sorted(user.roles))
    return {"imaging_studies": _access(request).revoke(user_name, study_id, actor=user.name, actor_role=role)}


def _access(request: Request) -> ImageAccess:
    found: ImageAccess = request.app.state.image_grants
    return found
