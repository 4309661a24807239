"""STOW-RS for objects made from archived images (PS3.18 section 10.5), apart from the door for original images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from racoon.errors import Refused
from racoon.node.archive._requests import ROOT as DICOMWEB_ROOT
from racoon.node.archive._requests import Uid, access_of, base_url_of
from racoon.node.archive.derived import OUT_OF_RESOURCES, DerivedObjects, DerivedOutcome
from racoon.platform.auth import User, require
from racoon.standards.dicomweb import multipart
from racoon.standards.dicomweb.dicom_json import JsonDataset, element, tag_key
from racoon.standards.dicomweb.media import DICOM_JSON
from racoon.standards.dicomweb.multipart_stream import MultipartReader

ROOT = f"{DICOMWEB_ROOT}/derived"

LARGEST_OBJECT_BYTES = 2 << 30

router = APIRouter(prefix=ROOT, tags=["dicomweb"])

Sender = Annotated[User, Depends(require("derived.store"))]

_ANSWERS: dict[int | str, dict[str, Any]] = {
    202: {"description": "Stored, but some objects were changed or not taken; the reasons are in the answer"},
    409: {"description": "Nothing was stored; the reasons are in FailedSOPSequence"},
}


class UnsupportedUpload(Refused):
    """An upload in a media type that is not taken."""

    code = "archive.unsupported_upload"
    status = 415


@router.post("/studies", response_class=Response, responses=_ANSWERS)
async def store_derived(request: Request, user: Sender) -> Response:
    """Store masks, reports, structure sets and parametric maps made from archived images (STOW-RS)."""
    return await _store(request, user)


@router.post("/studies/{study}", response_class=Response, responses=_ANSWERS)
async def store_derived_of_study(request: Request, user: Sender, study: Uid) -> Response:
    """Store objects made from the images of one imaging study (STOW-RS)."""
    return await _store(request, user, study)


async def _store(request: Request, user: User, study: str = "") -> Response:
    derived: DerivedObjects = request.app.state.derived
    header = request.headers.get("content-type", "")
    if "application/dicom" not in header.lower() or "json" in header.lower() or "xml" in header.lower():
        raise UnsupportedUpload('Send multipart/related; type="application/dicom".')
    reader = MultipartReader(multipart.boundary_of(header), largest_part_bytes=LARGEST_OBJECT_BYTES)
    outcomes: list[DerivedOutcome] = []
    access = access_of(request)

    def may_see(imaging_study_uid: str) -> bool:
        return access is None or access.may_see(user, imaging_study_uid)

    async for piece in request.stream():
        for part in reader.feed(piece):
            if part.is_too_large:
                reason = f"The object is larger than {LARGEST_OBJECT_BYTES >> 30} GiB."
                outcomes.append(DerivedOutcome("", "", failure=OUT_OF_RESOURCES, reason=reason))
                continue
            # Cleaning and syncing would keep every other request waiting.
            outcomes.append(
                await run_in_threadpool(derived.store, part.content, imaging_study_uid=study, may_see=may_see)
            )
    reader.finish()
    if not outcomes:
        raise multipart.BadMultipart("The body holds no object.")
    role = ",".join(sorted(user.roles))
    await run_in_threadpool(derived.record, outcomes, actor=user.name, actor_role=role)
    base_url = base_url_of(request)
    headers = {}
    reasons = list(dict.fromkeys(outcome.reason for outcome in outcomes if outcome.reason))
    if reasons:
        text = " ".join(reasons)[:600].replace("\\", "").replace('"', "'")
        headers["Warning"] = f'299 racoon: "{text}"'
    body = json.dumps(answer_of(outcomes, base_url), separators=(",", ":"))
    return Response(body, status_of(outcomes), media_type=DICOM_JSON, headers=headers)


def status_of(outcomes: Sequence[DerivedOutcome]) -> int:
    """200 when everything was stored as sent, 409 when nothing was, else 202 (PS3.18 table 10.5.3-1)."""
    if all(outcome.failure for outcome in outcomes):
        return 409
    return 202 if any(outcome.failure or outcome.warning for outcome in outcomes) else 200


def answer_of(outcomes: Sequence[DerivedOutcome], base_url: str) -> JsonDataset:
    """Write the response's data set (PS3.18 section 10.5.3)."""
    stored = [outcome for outcome in outcomes if not outcome.failure]
    failed = [outcome for outcome in outcomes if outcome.failure]
    studies = {outcome.imaging_study_uid for outcome in stored}
    address = f"{base_url}/studies/{studies.pop()}" if len(studies) == 1 else ""
    document: JsonDataset = {tag_key("RetrieveURL"): element("UR", address)}
    if failed:
        document[tag_key("FailedSOPSequence")] = {
            "vr": "SQ",
            "Value": [
                _reference(outcome) | {tag_key("FailureReason"): element("US", outcome.failure)}
                for outcome in failed
            ],
        }
    if stored:
        document[tag_key("ReferencedSOPSequence")] = {
            "vr": "SQ",
            "Value": [_stored(outcome, base_url) for outcome in stored],
        }
    return document


def _stored(outcome: DerivedOutcome, base_url: str) -> JsonDataset:
    address = (
        f"{base_url}/studies/{outcome.imaging_study_uid}/series/{outcome.series_uid}"
        f"/instances/{outcome.sop_instance_uid}"
    )
    document = _reference(outcome) | {tag_key("RetrieveURL"): element("UR", address)}
    if outcome.warning:
        document[tag_key("WarningReason")] = element("US", outcome.warning)
    return document


def _reference(outcome: DerivedOutcome) -> JsonDataset:
    return {
        tag_key("ReferencedSOPClassUID"): element("UI", outcome.sop_class_uid),
        tag_key("ReferencedSOPInstanceUID"): element("UI", outcome.sop_instance_uid),
    }
