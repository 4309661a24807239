"""The page of HL7 messages: connections, queue, and what waits for a person; nothing of what a message says.

It expects ``app.state.messages`` and ``settings``.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from racoon.node.clinical.hl7.desk import MessageDesk
from racoon.node.clinical.hl7.model import REASONS
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/intake/messages", include_in_schema=False)

Reader = Annotated[User, Depends(require("hl7.read"))]
Decider = Annotated[User, Depends(require("hl7.decide"))]


@router.get("")
def show_messages(request: Request, user: Reader) -> Response:
    """Show connections, queue, refused messages and merges."""
    return _page(request)


@router.post("")
def decide_messages(
    request: Request,
    user: Decider,
    decision: Annotated[str, Form(pattern="^(again|dismiss)$")],
    ids: Annotated[list[int] | None, Form()] = None,
) -> Response:
    """Try messages again, or dismiss them."""
    if not ids:
        return _page(request, problem="Choose at least one message.")
    desk: MessageDesk = request.app.state.messages
    settled = desk.decide_many(ids, decision, actor=user.name, actor_role=user.main_role)
    return _page(request, settled=settled)


def _page(request: Request, *, problem: str = "", settled: int | None = None) -> Response:
    desk: MessageDesk = request.app.state.messages
    return render(
        request,
        "node/intake/messages.html",
        status_code=400 if problem else 200,
        counts=desk.counts(),
        listener=request.app.state.settings.hl7,
        senders=desk.senders(),
        messages=desk.open_messages(),
        merges=desk.merges(),
        partings=desk.partings(),
        reasons=REASONS,
        problem=problem,
        settled=settled,
    )
