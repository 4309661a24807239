"""Routes of the gate: everything that left this site, as it left."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request

from racoon.node.release import counting
from racoon.node.release.service import ReleaseGate
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/releases", tags=["release"])


@router.get("")
def list_releases(
    request: Request,
    user: Annotated[User, Depends(require("release.read"))],
) -> list[dict[str, Any]]:
    """List the newest releases, whole."""
    gate: ReleaseGate = request.app.state.release
    with request.app.state.database.connect() as connection:
        return [
            {**release, "released_at": release["released_at"].isoformat()}
            for release in gate.releases(connection)
        ]


@router.get("/holds")
def list_holds(
    request: Request,
    user: Annotated[User, Depends(require("release.read"))],
) -> list[dict[str, Any]]:
    """List the projects whose counts are held, because they nearly repeat each other, until a person has looked."""
    with request.app.state.database.connect() as connection:
        return counting.holds(connection)


@router.post("/holds/{project}/lift", status_code=204)
def lift_hold(
    project: str, request: Request, user: Annotated[User, Depends(require("release.decide"))]
) -> None:
    """Let a project count again."""
    role = ",".join(sorted(user.roles))
    with request.app.state.database.begin() as connection:
        counting.lift(connection, request.app.state.audit, project, actor=user.name, actor_role=role)
