"""Routes of intake: today's flow, the quarantine, and objects over HTTP (STOW-RS)."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from racoon.node.deid.model import Correction
from racoon.node.intake._pages import router as pages
from racoon.node.intake._stow import StowAnswer
from racoon.node.intake.model import Decision, QuarantinedObject, QuarantineState, UnsupportedUpload
from racoon.node.intake.service import Intake
from racoon.platform.auth import User, require
from racoon.standards.dicomweb import multipart
from racoon.standards.dicomweb.media import DICOM_JSON
from racoon.standards.dicomweb.multipart_stream import MultipartReader

__all__ = ["dicomweb", "pages", "router"]

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
def read_status(request: Request, user: Reader) -> dict[str, Any]:
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
    user: Reader,
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


class CorrectionRequest(BaseModel):
    """What a person sets right in a quarantined object.

    Attributes
    ----------
    subject, patient_id
        Whose the object is: the subject's pseudonym, or the patient's number in this hospital; not both.
    uids
        New values by keyword: SOPClassUID, SOPInstanceUID, StudyInstanceUID, SeriesInstanceUID.
    make_uids
        Make missing or conflicting UIDs from the object's content.
    note
        Why, in a few words; kept in the audit.
    """

    model_config = ConfigDict(extra="forbid")

    subject: Annotated[str, Field(max_length=64)] = ""
    patient_id: Annotated[str, Field(max_length=64)] = ""
    uids: dict[str, str] = {}
    make_uids: bool = False
    note: Annotated[str, Field(min_length=1, max_length=500)]


@router.post("/quarantine/{quarantine_id}/correction")
def correct(quarantine_id: str, body: CorrectionRequest, request: Request, user: Decider) -> dict[str, Any]:
    """Set a quarantined object right and send it through all rules again; audited."""
    intake: Intake = request.app.state.intake
    item = intake.correct(
        quarantine_id,
        Correction(body.subject.strip(), body.patient_id.strip(), body.uids),
        actor=user.name,
        actor_role=",".join(sorted(user.roles)),
        note=body.note,
        make_uids=body.make_uids,
    )
    return describe(item)


dicomweb = APIRouter(prefix="/dicom-web", tags=["dicomweb"])

Sender = Annotated[User, Depends(require("intake.send"))]
Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]

_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"description": "Taken; identity is removed before anything is archived"},
    409: {"description": "Nothing was taken; the reasons are in FailedSOPSequence"},
}


@dicomweb.post("/studies", status_code=202, response_class=Response, responses=_ANSWERS)
async def store_instances(request: Request, user: Sender) -> Response:
    """Take objects as a scanner sends them (STOW-RS); they are durable when this answers."""
    return await _store(request, user)


@dicomweb.post("/studies/{study}", status_code=202, response_class=Response, responses=_ANSWERS)
async def store_instances_of_study(request: Request, user: Sender, study: Uid) -> Response:
    """Take objects of one imaging study (STOW-RS), named by the UID that the objects have outside."""
    return await _store(request, user, study)


async def _store(request: Request, user: User, study: str = "") -> Response:
    intake: Intake = request.app.state.intake
    header = request.headers.get("content-type", "")
    if "application/dicom" not in header.lower() or "json" in header.lower() or "xml" in header.lower():
        raise UnsupportedUpload('Send multipart/related; type="application/dicom".')
    reader = MultipartReader(multipart.boundary_of(header), largest_part_bytes=intake.largest_bytes)
    answer = StowAnswer()
    async for piece in request.stream():
        for part in reader.feed(piece):
            # Parsing and syncing would keep every other request waiting.
            await run_in_threadpool(
                intake.take_part, part.content, answer, study, too_large=part.is_too_large
            )
    reader.finish()
    await run_in_threadpool(intake.record_upload, user.name, ",".join(sorted(user.roles)), answer)
    body = json.dumps(answer.document(), separators=(",", ":"))
    return Response(body, answer.status, media_type=DICOM_JSON)


def describe(item: QuarantinedObject) -> dict[str, Any]:
    """Write a quarantined object as JSON."""
    decided = item.decided_at.isoformat() if item.decided_at else None
    return asdict(item) | {"received_at": item.received_at.isoformat(), "decided_at": decided}
