"""Pages of re-identification: ask with a reason, a second person agrees, the number is shown to who asked.

They expect ``app.state.reidentifications``.  There is no route that gives the answer to a program.
"""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import RedirectResponse, Response

from racoon.errors import Refused
from racoon.node.pseudonyms.model import LONGEST_REASON
from racoon.node.pseudonyms.requests import Reidentifications
from racoon.node.pseudonyms.service import REIDENTIFY
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/reidentifications", include_in_schema=False)

Asker = Annotated[User, Depends(require(REIDENTIFY))]
Text = Annotated[str, Form(max_length=128)]

LISTED = 100


@router.get("")
def show_requests(request: Request, user: Asker) -> Response:
    """Show the form and the newest requests."""
    return _page(request, user)


@router.post("")
def ask(
    request: Request,
    user: Asker,
    pseudonym: Text = "",
    study_id: Text = "",
    reason: Annotated[str, Form(max_length=LONGEST_REASON)] = "",
) -> Response:
    """Ask who a subject is; nothing is shown before another person has agreed."""
    try:
        _requests(request).ask(pseudonym, study_id=study_id, reason=reason, user=user)
    except Refused as refusal:
        typed = {"pseudonym": pseudonym, "study_id": study_id, "reason": reason}
        return _page(request, user, problem=refusal.public_message, typed=typed)
    return RedirectResponse("/reidentifications", status_code=303)


@router.post("/{request_id}/decision")
def decide(
    request_id: str, request: Request, user: Asker, agree: Annotated[bool, Form()] = False
) -> Response:
    """Agree with another person's request, or refuse it."""
    try:
        _requests(request).decide(request_id, is_agreed=agree, user=user)
    except Refused as refusal:
        return _page(request, user, problem=refusal.public_message)
    return RedirectResponse(f"/reidentifications#{quote(request_id)}", status_code=303)


@router.post("/{request_id}/answer")
def answer(request_id: str, request: Request, user: Asker) -> Response:
    """Show the patient's number; a form, not an address: it must not lie in a history or be fetched ahead."""
    try:
        found = _requests(request).answer(request_id, user=user)
    except Refused as refusal:
        return _page(request, user, problem=refusal.public_message)
    return _page(request, user, answered=request_id, patient_id=found)


def _page(
    request: Request,
    user: User,
    *,
    problem: str = "",
    typed: dict[str, str] | None = None,
    answered: str = "",
    patient_id: str = "",
) -> Response:
    return render(
        request,
        "node/pseudonyms/requests.html",
        status_code=400 if problem else 200,
        requests=_requests(request).newest(LISTED),
        user_name=user.name,
        typed={"pseudonym": "", "study_id": "", "reason": "", **(typed or {})},
        problem=problem,
        answered=answered,
        patient_id=patient_id,
        longest_reason=LONGEST_REASON,
    )


def _requests(request: Request) -> Reidentifications:
    found: Reidentifications = request.app.state.reidentifications
    return found
