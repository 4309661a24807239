"""Routes of the legal basis: what the site relies on, who withdrew, whether everybody who has data was told."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from racoon.domain.identity import Pseudonym
from racoon.node.consent import looking
from racoon.node.consent.model import NoSuchSubject, basis_of
from racoon.node.consent.service import Consent
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/consent", tags=["consent"])

Reader = Annotated[User, Depends(require("study.read"))]
Decider = Annotated[User, Depends(require("basis.decide"))]
Overseer = Annotated[User, Depends(require("consent.read"))]
Withdrawer = Annotated[User, Depends(require("consent.withdraw"))]

Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
Text = Annotated[str, Field(min_length=3, max_length=500)]


class NewBasis(BaseModel):
    """A legal basis that the site relies on.

    Attributes
    ----------
    study_id
        The study it holds for, or ``site:archive`` for keeping and looking at images at this site.
    document
        Law and clause, file number or vote.
    scope
        Which data, in words.
    approved_by
        Who at the site signed it.
    acquired_from, acquired_until
        Days of acquisition it covers; open where not given.
    valid_from, valid_until
        Days on which it may be relied on; open where not given.
    """

    model_config = ConfigDict(extra="forbid")

    study_id: Annotated[str, Field(max_length=80)]
    kind: Literal["hospital_law", "health_data_use", "ethics_waiver", "contract", "synthetic"]
    document: Text
    scope: Text
    approved_by: Annotated[str, Field(min_length=3, max_length=200)]
    acquired_from: Day | None = None
    acquired_until: Day | None = None
    valid_from: Day | None = None
    valid_until: Day | None = None


class NewWithdrawal(BaseModel):
    """A subject takes their consent back.

    Attributes
    ----------
    pseudonym
        Of this node's archive.
    study_id
        The one study it is taken back from; empty for everything.
    reason
        In words without names.
    """

    model_config = ConfigDict(extra="forbid")

    pseudonym: Annotated[str, Field(min_length=1, max_length=64)]
    study_id: Annotated[str, Field(max_length=80)] = ""
    reason: Text


def _roles(user: User) -> str:
    return ",".join(sorted(user.roles))


@router.get("/bases")
def list_bases(request: Request, user: Reader) -> list[dict[str, Any]]:
    """List the legal bases this site recorded, newest first."""
    consent: Consent = request.app.state.consent
    with request.app.state.database.connect() as connection:
        return [basis.describe() for basis in consent.bases(connection)]


@router.post("/bases", status_code=201)
def record_basis(document: NewBasis, request: Request, user: Decider) -> dict[str, Any]:
    """Record a legal basis; the same one again changes nothing."""
    consent: Consent = request.app.state.consent
    basis = basis_of(document.model_dump())
    with request.app.state.database.begin() as connection:
        return consent.record_basis(connection, basis, actor=user.name, actor_role=_roles(user)).describe()


@router.delete("/bases/{basis_id}", status_code=204)
def end_basis(basis_id: str, request: Request, user: Decider) -> None:
    """Take a legal basis back; what rests on it stops at once."""
    consent: Consent = request.app.state.consent
    with request.app.state.database.begin() as connection:
        consent.end_basis(connection, basis_id, actor=user.name, actor_role=_roles(user))


@router.get("/subjects/{pseudonym}")
def show_subject(pseudonym: str, request: Request, user: Overseer) -> dict[str, Any]:
    """Show what is known of a subject's permission."""
    with request.app.state.database.begin() as connection:
        found = looking.describe_subject(connection, Pseudonym(pseudonym))
        looking.record_look(connection, request.app.state.audit, user, pseudonym)
        return found


@router.get("/withdrawals")
def list_withdrawals(request: Request, user: Overseer) -> dict[str, Any]:
    """List withdrawals with their proofs, and who was told of them."""
    consent: Consent = request.app.state.consent
    with request.app.state.database.connect() as connection:
        return {
            "withdrawals": [item.describe() for item in consent.withdrawals(connection)],
            "tombstones": looking.tombstones(connection),
        }


@router.post("/withdrawals", status_code=201)
def withdraw(document: NewWithdrawal, request: Request, user: Withdrawer) -> dict[str, Any]:
    """End the use of a subject's data, at once and everywhere at this node; copies elsewhere are told."""
    consent: Consent = request.app.state.consent
    with request.app.state.database.begin() as connection:
        found = consent.withdraw(
            connection,
            Pseudonym(document.pseudonym),
            document.study_id,
            reason=document.reason,
            source="manual",
            actor=user.name,
            actor_role=_roles(user),
        )
        if found is None:
            raise NoSuchSubject("This subject withdrew before.", code="consent.withdrawn_before")
        return found.describe()
