"""Pages of deletions: ask with a reason, a second person confirms, and the proof stays to be read."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.canonical import content_hash
from racoon.errors import Refused
from racoon.node.archive.deletion import Deletions, DeletionState
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/deletions", include_in_schema=False)

Requester = Annotated[User, Depends(require("image.delete"))]
Confirmer = Annotated[User, Depends(require("image.delete.confirm"))]
Uid = Annotated[str, Query(max_length=64)]
UidField = Annotated[str, Form(max_length=64)]

PAGE_SIZE = 50
LISTED_INSTANCES = 500


@router.get("")
def show_deletions(
    request: Request,
    user: Requester,
    state: Annotated[str, Query(max_length=16)] = "",
    before: Annotated[str, Query(max_length=32)] = "",
) -> Response:
    """Show deletions, newest first."""
    wanted = DeletionState(state) if state in set(DeletionState) else None
    found = _deletions(request).newest(PAGE_SIZE + 1, state=wanted, before=before)
    kept = {"state": wanted.value} if wanted else {}
    following = (
        f"/deletions?{urlencode(kept | {'before': found[PAGE_SIZE - 1].deletion_id})}"
        if len(found) > PAGE_SIZE
        else ""
    )
    return render(
        request,
        "node/archive/deletions.html",
        deletions=found[:PAGE_SIZE],
        states=[item.value for item in DeletionState],
        state=wanted.value if wanted else "",
        first_page=f"/deletions?{urlencode(kept)}" if before else "",
        next_page=following,
    )


@router.get("/new")
def show_form(
    request: Request,
    user: Requester,
    imaging_study: Uid = "",
    series: Uid = "",
    instance: Uid = "",
) -> Response:
    """Show what would be deleted, and ask why."""
    return _form(request, imaging_study, series, instance)


@router.post("")
def ask(
    request: Request,
    user: Requester,
    imaging_study: UidField = "",
    series: UidField = "",
    instance: UidField = "",
    reason: Annotated[str, Form(max_length=500)] = "",
) -> Response:
    """Ask for a deletion; nothing is gone before another person has confirmed it."""
    try:
        found = _deletions(request).request(
            imaging_study.strip(),
            series_uid=series.strip(),
            sop_instance_uid=instance.strip(),
            reason=reason,
            actor=user.name,
            actor_role=_role(user),
        )
    except Refused as refusal:
        return _form(request, imaging_study, series, instance, reason=reason, problem=refusal.public_message)
    return RedirectResponse(f"/deletions/{quote(found.deletion_id)}", status_code=303)


@router.get("/{deletion_id}")
def show_deletion(deletion_id: str, request: Request, user: Requester) -> Response:
    """Show one deletion: who, why, what, and its proof."""
    return _one(request, deletion_id, user)


@router.post("/{deletion_id}/decision")
def decide(
    deletion_id: str, request: Request, user: Confirmer, confirm: Annotated[bool, Form()] = False
) -> Response:
    """Confirm or refuse what another person asked for."""
    try:
        _deletions(request).decide(deletion_id, is_confirmed=confirm, actor=user.name, actor_role=_role(user))
    except Refused as refusal:
        return _one(request, deletion_id, user, problem=refusal.public_message)
    return RedirectResponse(f"/deletions/{quote(deletion_id)}", status_code=303)


def _form(
    request: Request, imaging_study: str, series: str, instance: str, *, reason: str = "", problem: str = ""
) -> Response:
    count = 0
    if imaging_study:
        try:
            count = _deletions(request).count(imaging_study.strip(), series.strip(), instance.strip())
        except Exception as error:  # noqa: BLE001 - a UID that is none is said beside the field it was typed into
            problem = problem or str(getattr(error, "public_message", "") or "This is not a valid DICOM UID.")
    return render(
        request,
        "node/archive/deletion_new.html",
        status_code=400 if problem else 200,
        imaging_study=imaging_study,
        series=series,
        instance=instance,
        reason=reason,
        count=count,
        problem=problem,
    )


def _one(request: Request, deletion_id: str, user: User, *, problem: str = "") -> Response:
    found = _deletions(request).get(deletion_id)
    proof = found.proof or {}
    return render(
        request,
        "node/archive/deletion.html",
        status_code=400 if problem else 200,
        deletion=found,
        is_own=found.requested_by == user.name,
        proof_holds=bool(proof) and content_hash(proof) == found.proof_hash,
        instances=proof.get("instances", [])[:LISTED_INSTANCES],
        checked=proof.get("checked", {}),
        problem=problem,
    )


def _deletions(request: Request) -> Deletions:
    found: Deletions = request.app.state.deletions
    return found


def _role(user: User) -> str:
    return ",".join(sorted(user.roles))
