"""Findings as JSON, and the stable address of each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.finding import finding_of
from racoon.node.archive.model import SeriesFilter
from racoon.node.archive.service import Archive
from racoon.node.reading.findings.model import ATTEMPT_WRITER, FindingNotFound, StoredFinding
from racoon.node.reading.http._rooms import (
    Uid,
    client_of,
    decisions_of,
    findings_of,
    foreign_of,
    require_sight,
    work_of,
    writing,
)
from racoon.platform.auth import User, require

router = APIRouter()

Reader = Annotated[User, Depends(require("finding.read"))]
Author = Annotated[User, Depends(require("finding.write"))]
Id = Annotated[str, Path(max_length=36)]


def _seen(request: Request, user: User, finding_id: str) -> StoredFinding:
    found = findings_of(request).get(finding_id)
    require_sight(request, user, found.finding.place.imaging_study_uid)
    writer = writing(request, user, found.finding.place.imaging_study_uid)
    if found.author.startswith(ATTEMPT_WRITER) and found.author != writer.name:
        raise FindingNotFound("There is no such finding.")
    if found.author != writer.name and work_of(request).is_blinded(
        user, found.finding.place.imaging_study_uid
    ):
        raise FindingNotFound("There is no such finding.")
    return found


@router.get("/reading/findings/{finding_id}", include_in_schema=False)
def open_finding(request: Request, finding_id: Id, user: Reader) -> Response:
    """Lead to the image with this finding in view."""
    found = _seen(request, user, finding_id)
    if found.is_removed:
        raise FindingNotFound("The finding was removed.")
    return RedirectResponse(found.page, status_code=303)


@router.get("/api/reading/imaging-studies/{study}/findings")
def list_findings(request: Request, study: Uid, user: Reader) -> dict[str, Any]:
    """List the findings of an imaging study, oldest first."""
    require_sight(request, user, study)
    foreign = foreign_of(request)
    foreign.take_in(study)
    writer = writing(request, user, study)
    found = findings_of(request).of_study(study, writer.name)
    left_out = foreign.left_out(study) if _is_readable(request, study) else []
    if work_of(request).is_blinded(user, study):
        found, left_out = [item for item in found if item.author == writer.name], []
    aliases = decisions_of(request).aliases(user, study) | {writer.name: user.name}
    return {"findings": [_described(item, aliases) for item in found], "left_out": left_out}


def _is_readable(request: Request, study: str) -> bool:
    """Tell whether anything of an imaging study may be read now."""
    archive: Archive = request.app.state.archive
    return bool(archive.series(SeriesFilter(imaging_study_uid=study, limit=1)))


@router.get("/api/reading/findings/{finding_id}")
def read_finding(request: Request, finding_id: Id, user: Reader) -> dict[str, Any]:
    """Return a finding in its newest revision, also a removed one."""
    found = _seen(request, user, finding_id)
    return _described(found, decisions_of(request).aliases(user, found.finding.place.imaging_study_uid))


def _described(found: StoredFinding, aliases: Mapping[str, str]) -> dict[str, Any]:
    """Return the JSON form, without the author's name for whoever must not know it yet."""
    return found.to_dict() | {"author": aliases.get(found.author, found.author)}


@router.put("/api/reading/findings/{finding_id}")
def save_finding(
    request: Request,
    finding_id: Id,
    user: Author,
    document: Annotated[dict[str, Any], Body()],
    based_on: Annotated[int, Query(ge=0)] = 0,
) -> dict[str, Any]:
    """Save a finding; the answer has its numbers, computed from the archived image.

    ``based_on`` is the revision the author saw, 0 for a new finding.  Saving a removed finding brings it back.
    """
    finding = finding_of(finding_id, document)
    require_sight(request, user, finding.place.imaging_study_uid)
    writer = writing(request, user, finding.place.imaging_study_uid)
    saved = findings_of(request).save(writer, finding, based_on, client_of(request))
    return _described(saved, {writer.name: user.name})


@router.delete("/api/reading/findings/{finding_id}")
def remove_finding(
    request: Request, finding_id: Id, user: Author, based_on: Annotated[int, Query(ge=1)]
) -> dict[str, Any]:
    """Remove a finding; its revisions stay, and saving it again brings it back."""
    found = _seen(request, user, finding_id)
    writer = writing(request, user, found.finding.place.imaging_study_uid)
    removed = findings_of(request).remove(writer, finding_id, based_on, client_of(request))
    return _described(removed, {writer.name: user.name})
