"""The page of consent and legal basis: what this site relies on, who took a consent back, and who was told of it.

It expects ``app.state.consent``, ``audit``, ``database`` and ``is_pseudonym``.
Subjects stand on it by their pseudonym alone.
"""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.consent import ARCHIVE
from racoon.domain.identity import Pseudonym
from racoon.errors import RacoonError, Refused
from racoon.node.consent import looking
from racoon.node.consent.model import BadBasis, BasisKind, NoSuchSubject, basis_of
from racoon.node.consent.service import Consent
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/consent", include_in_schema=False)

Overseer = Annotated[User, Depends(require("consent.read"))]
Decider = Annotated[User, Depends(require("basis.decide"))]
Withdrawer = Annotated[User, Depends(require("consent.withdraw"))]

SHOWN = 200
"""Withdrawals on the page; the API lists all of them."""

NOT_SURE = "Tick that you mean it: a withdrawal can't be taken back here."
NO_PSEUDONYM = "This is no pseudonym of this node. Compare each character."
WITHDRAWN_BEFORE = "This subject withdrew before."
SENTENCES = (NOT_SURE, NO_PSEUDONYM, WITHDRAWN_BEFORE, looking.NOTHING_KNOWN)


@router.get("")
def show_consent(
    request: Request, user: Overseer, subject: Annotated[str, Query(max_length=64)] = ""
) -> Response:
    """Show the legal basis of this site; with a pseudonym, what is permitted of that subject, too."""
    return _page(request, user, subject=subject.strip())


@router.post("/bases")
async def record_basis(request: Request, user: Decider) -> Response:
    """Record a legal basis with the form of the page."""
    typed = {key: str(value).strip()[:500] for key, value in (await request.form()).items()}
    try:
        if typed.get("kind") not in set(BasisKind):
            raise BadBasis("Choose what the site relies on.")
        names = ("document", "scope", "approved_by", "acquired_from", "acquired_until", "valid_from")
        wanted = {name: typed.get(name, "") for name in ("study_id", "kind", *names, "valid_until")}
        basis = basis_of(wanted)
        consent: Consent = request.app.state.consent
        with request.app.state.database.begin() as connection:
            consent.record_basis(connection, basis, actor=user.name, actor_role=_roles(user))
    except Refused as refusal:
        return _page(request, user, problem=refusal, typed=typed)
    return RedirectResponse("/consent#bases", status_code=303)


@router.post("/bases/{basis_id}/end")
def end_basis(basis_id: str, request: Request, user: Decider) -> Response:
    """Take a legal basis back."""
    consent: Consent = request.app.state.consent
    try:
        with request.app.state.database.begin() as connection:
            consent.end_basis(connection, basis_id, actor=user.name, actor_role=_roles(user))
    except Refused as refusal:
        return _page(request, user, problem=refusal)
    return RedirectResponse("/consent#bases", status_code=303)


@router.post("/withdrawals")
def withdraw(
    request: Request,
    user: Withdrawer,
    pseudonym: Annotated[str, Form(max_length=64)] = "",
    study_id: Annotated[str, Form(max_length=80)] = "",
    reason: Annotated[str, Form(max_length=500)] = "",
    sure: Annotated[str, Form(max_length=8)] = "",
) -> Response:
    """Put a withdrawal in force with the form of the page."""
    typed = {"pseudonym": pseudonym.strip(), "study": study_id.strip(), "reason": reason.strip()}
    consent: Consent = request.app.state.consent
    try:
        if sure != "yes":
            raise BadBasis(NOT_SURE, code="consent.not_sure")
        if not typed["pseudonym"] or len(typed["reason"]) < 3:
            raise BadBasis("A withdrawal needs the pseudonym and a reason.", code="consent.incomplete")
        if not request.app.state.is_pseudonym(typed["pseudonym"]):
            raise NoSuchSubject(NO_PSEUDONYM)
        with request.app.state.database.begin() as connection:
            new = consent.withdraw(
                connection,
                Pseudonym(typed["pseudonym"]),
                typed["study"],
                reason=typed["reason"],
                source="manual",
                actor=user.name,
                actor_role=_roles(user),
            )
            if new is None:
                raise NoSuchSubject(WITHDRAWN_BEFORE, code="consent.withdrawn_before")
    except Refused as refusal:
        return _page(request, user, problem=refusal, typed=typed)
    return RedirectResponse("/consent#withdrawals", status_code=303)


def _page(
    request: Request,
    user: User,
    *,
    subject: str = "",
    problem: RacoonError | None = None,
    typed: dict[str, str] | None = None,
) -> Response:
    consent: Consent = request.app.state.consent
    found: dict[str, Any] | None = None
    if subject:
        try:
            with request.app.state.database.begin() as connection:
                found = _with_days(looking.describe_subject(connection, Pseudonym(subject)))
                looking.record_look(connection, request.app.state.audit, user, subject)
        except NoSuchSubject as unknown:
            problem = unknown
    now = clock.now()
    with request.app.state.database.connect() as connection:
        bases = consent.bases(connection)
        withdrawals = consent.withdrawals(connection)
        status = looking.status(connection, now)
        told: dict[int, list[dict[str, Any]]] = {}
        for stone in looking.tombstones(connection):
            told.setdefault(stone["withdrawal_number"], []).append(stone)
    return render(
        request,
        "node/consent/consent.html",
        status_code=200 if problem is None else problem.status,
        bases=bases,
        today=now.astimezone().date(),
        kinds=[kind.value for kind in BasisKind],
        archive=ARCHIVE,
        withdrawals=withdrawals[:SHOWN],
        left_out=max(0, len(withdrawals) - SHOWN),
        told=told,
        status=status,
        subject=subject,
        found=found,
        problem=problem.public_message if problem else "",
        typed=typed or {},
    )


def _with_days(found: dict[str, Any]) -> dict[str, Any]:
    """Make days of what is text in the JSON form, so that a page says them in its reader's language."""
    for name in ("permitted_from", "permitted_until"):
        found[name] = date.fromisoformat(found[name]) if found[name] else None
    for item in found["documents"]:
        item["given"] = date.fromisoformat(item["given"])
    return found


def _roles(user: User) -> str:
    return ",".join(sorted(user.roles))
