"""Routes of intake: today's flow and the quarantine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from racoon.node.intake.model import Decision, QuarantinedObject, QuarantineState
from racoon.node.intake.service import Intake
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/intake", tags=["intake"])

Reader = Annotated[User, Depends(require("intake.read"))]
Decider = Annotated[User, Depends(require("quarantine.decide"))]


class DecisionRequest(BaseModel):
    """What a person decided about a quarantined object.

    Attributes
    ----------
    decision
        ``release`` puts it into the spool again, a suspicion being overruled; ``delete`` removes it.
    note
        Why, in a few words; kept in the audit.
    """

    model_config = ConfigDict(extra="forbid")

    decision: Decision
    note: Annotated[str, Field(max_length=500)] = ""


@router.get("/status")
def read_status(request: Request, user: Reader) -> dict[str, Any]:  # noqa: ARG001
    """Tell what waits, what is in quarantine, and what the latest days brought."""
    intake: Intake = request.app.state.intake
    status = intake.status()
    return {
        "waiting": status.waiting,
        "waiting_bytes": status.waiting_bytes,
        "oldest_waiting_s": round(status.oldest_waiting_s, 1),
        "in_quarantine": status.in_quarantine,
        "free_bytes": status.free_bytes,
        "days": [
            {
                "day": day.day.isoformat(),
                "received": day.received,
                "archived": day.archived,
                "duplicates": day.duplicates,
                "quarantined": day.quarantined,
            }
            for day in status.days
        ],
    }


@router.get("/quarantine")
def list_quarantine(
    request: Request,
    user: Reader,  # noqa: ARG001
    state: QuarantineState = QuarantineState.WAITING,
    limit: Annotated[int, Query(ge=1, le=1000)] = 200,
) -> list[dict[str, Any]]:
    """List quarantined objects with their reasons, newest first."""
    intake: Intake = request.app.state.intake
    return [describe(item) for item in intake.quarantined(state, limit)]


@router.post("/quarantine/{quarantine_id}/decision")
def decide(quarantine_id: str, body: DecisionRequest, request: Request, user: Decider) -> dict[str, Any]:
    """Release or delete a quarantined object; the decision is audited."""
    intake: Intake = request.app.state.intake
    role = ",".join(sorted(user.roles))
    return describe(
        intake.decide(quarantine_id, body.decision, actor=user.name, actor_role=role, note=body.note)
    )


def describe(item: QuarantinedObject) -> dict[str, Any]:
    """Write a quarantined object as JSON."""
    decided = item.decided_at.isoformat() if item.decided_at else None
    return asdict(item) | {"received_at": item.received_at.isoformat(), "decided_at": decided}
