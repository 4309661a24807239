"""Pages and routes of reviews and of pooled studies.

They expect ``app.state.pooling`` (both ends), ``app.state.release`` (with its reviews) and ``app.state.peers``.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from racoon.domain.permission import is_permitted
from racoon.errors import Refused
from racoon.node.approvals.service import Approvals
from racoon.node.release import counting
from racoon.node.release.reviews import Reviews
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(tags=["pool"])
pages = APIRouter(include_in_schema=False)

Reviewer = Annotated[User, Depends(require("release.read"))]
Decider = Annotated[User, Depends(require("release.decide"))]
Looker = Annotated[User, Depends(require("pool.read"))]
Asker = Annotated[User, Depends(require("export.ask"))]
Deleter = Annotated[User, Depends(require("pool.delete"))]
Text = Annotated[str, Form(max_length=500)]

LISTED = 100


class ExportRequest(BaseModel):
    """A released dataset to send to its pool, and why."""

    model_config = ConfigDict(extra="forbid")

    study_id: Annotated[str, Field(max_length=80)]
    reason: Annotated[str, Field(max_length=500)] = ""


class ReviewDecision(BaseModel):
    """A reviewer's yes or no, with a reason."""

    model_config = ConfigDict(extra="forbid")

    accept: bool
    reason: Annotated[str, Field(max_length=500)] = ""


class DeletionRequest(BaseModel):
    """Why what lies here of a study that has ended is deleted."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(max_length=500)] = ""


@router.get("/api/reviews")
def list_reviews(request: Request, user: Reviewer) -> list[dict[str, Any]]:
    """List what waits for a reviewer, and what reviewers said."""
    reviews: Reviews = request.app.state.release.reviews
    with request.app.state.database.connect() as connection:
        return [item.to_dict() for item in reviews.newest(connection, LISTED)]


@router.get("/api/pool")
def show_pooling(request: Request, user: Looker) -> dict[str, Any]:
    """Say what this node sent to pools, what it took as a pool, and whose keys it knows."""
    state = request.app.state
    with state.database.connect() as connection:
        return {
            "peer_code": state.peers.own.to_text(),
            "fingerprint": state.peers.own.fingerprint,
            "peers": [
                _plain(item, "site", "fingerprint", "added_at") for item in state.peers.all(connection)
            ],
            "sent": [
                _plain(
                    item,
                    "shipment_id",
                    "study_id",
                    "pool",
                    "state",
                    "counts",
                    "problem",
                    "sent_at",
                    "receipt",
                )
                for item in state.pooling.sender.shipments(connection)
            ],
            "received": [
                _plain(
                    item,
                    "sender",
                    "shipment_id",
                    "study_id",
                    "state",
                    "objects",
                    "set_aside",
                    "quality",
                    "problem",
                )
                for item in state.pooling.receiver.incoming(connection)
            ],
            "held": [
                {name: _plain(item, name)[name] for name in item}
                for item in state.pooling.ending.held(connection)
            ],
        }


@router.post("/api/pool/exports", status_code=201)
def ask_export(body: ExportRequest, request: Request, user: Asker) -> dict[str, str]:
    """Ask to send a released dataset to its pool; it waits for a reviewer."""
    state = request.app.state
    with state.database.begin() as connection:
        shipment_id = state.pooling.sender.ask(connection, body.study_id, reason=body.reason, actor=user.name)
    return {"shipment_id": str(shipment_id), "study_id": body.study_id}


@router.post("/api/reviews/{review_id}/decision")
def decide_review(review_id: str, body: ReviewDecision, request: Request, user: Decider) -> dict[str, Any]:
    """Say yes or no to what waits for a reviewer, with a reason."""
    reviews: Reviews = request.app.state.release.reviews
    with request.app.state.database.begin() as connection:
        review = reviews.decide(
            connection,
            review_id,
            is_accepted=body.accept,
            reason=body.reason,
            actor=user.name,
            actor_role=user.main_role,
        )
        return review.to_dict()


@router.post("/api/pool/studies/{study_id}/deletion")
def delete_pooled(study_id: str, body: DeletionRequest, request: Request, user: Deleter) -> dict[str, str]:
    """Ask to delete what lies here of a study that has ended; asked by another person it is confirmed."""
    return {"study_id": study_id, "state": _delete(request, study_id, body.reason, user)}


@pages.get("/reviews")
def show_reviews(request: Request, user: Reviewer) -> Response:
    """Show the reviewer queue."""
    return _reviews_page(request, user)


@pages.post("/reviews/held/{project}/lift")
def lift_hold(project: str, request: Request, user: Decider) -> Response:
    """Let a project count again, after a person has looked."""
    state = request.app.state
    try:
        with state.database.begin() as connection:
            counting.lift(connection, state.audit, project, actor=user.name, actor_role=user.main_role)
    except Refused as refusal:
        return _reviews_page(request, user, refusal.public_message)
    return RedirectResponse("/reviews", status_code=303)


@pages.post("/reviews/{review_id}/decision")
def decide(
    review_id: str,
    request: Request,
    user: Decider,
    accept: Annotated[bool, Form()] = False,
    reason: Text = "",
) -> Response:
    """Say yes or no, with a reason."""
    reviews: Reviews = request.app.state.release.reviews
    try:
        with request.app.state.database.begin() as connection:
            reviews.decide(
                connection,
                review_id,
                is_accepted=accept,
                reason=reason,
                actor=user.name,
                actor_role=user.main_role,
            )
    except Refused as refusal:
        return _reviews_page(request, user, refusal.public_message)
    return RedirectResponse("/reviews", status_code=303)


@pages.get("/pool")
def show_pool(request: Request, user: Looker) -> Response:
    """Show exports, shipments, peers, and what is to be deleted."""
    return _pool_page(request, user)


@pages.post("/pool/peers")
def add_peer(request: Request, user: Asker, code: Text = "") -> Response:
    """Take down another node's keys."""
    state = request.app.state
    try:
        with state.database.begin() as connection:
            state.peers.add(connection, code, actor=user.name, actor_role=user.main_role)
    except Refused as refusal:
        return _pool_page(request, user, refusal.public_message)
    return RedirectResponse("/pool", status_code=303)


@pages.post("/pool/exports")
def ask(
    request: Request, user: Asker, study_id: Annotated[str, Form(max_length=80)] = "", reason: Text = ""
) -> Response:
    """Ask to send a released dataset to its pool."""
    state = request.app.state
    try:
        with state.database.begin() as connection:
            state.pooling.sender.ask(connection, study_id, reason=reason, actor=user.name)
    except Refused as refusal:
        return _pool_page(request, user, refusal.public_message)
    return RedirectResponse("/pool", status_code=303)


@pages.post("/pool/studies/{study_id}/deletion")
def delete_study(study_id: str, request: Request, user: Deleter, reason: Text = "") -> Response:
    """Ask to delete what lies here of a study that has ended; asked by another person it is confirmed."""
    try:
        _delete(request, study_id, reason, user)
    except Refused as refusal:
        return _pool_page(request, user, refusal.public_message)
    return RedirectResponse("/pool", status_code=303)


def _delete(request: Request, study_id: str, reason: str, user: User) -> str:
    state = request.app.state
    with state.database.begin() as connection:
        asked_by = state.pooling.ending.asked_by(connection, study_id)
        if not asked_by:
            state.pooling.ending.ask(connection, study_id, reason=reason, actor=user.name)
            return "asked"
        is_same = state.people.is_same_person(connection, asked_by, user.name)
        state.pooling.ending.confirm(connection, study_id, actor=user.name, is_same=is_same)
        return "confirmed"


def _reviews_page(request: Request, user: User, problem: str = "") -> Response:
    reviews: Reviews = request.app.state.release.reviews
    may_decide = is_permitted("node", user.roles, "release.decide")
    with request.app.state.database.connect() as connection:
        items = [
            (item, reviews.obstacle(connection, item, user.name))
            for item in reviews.newest(connection, LISTED)
        ]
        held = counting.holds(connection)
    return render(
        request,
        "node/pooling/reviews.html",
        status_code=409 if problem else 200,
        items=items,
        held=held,
        may_decide=may_decide,
        problem=problem,
    )


def _pool_page(request: Request, user: User, problem: str = "") -> Response:
    state = request.app.state
    approvals: Approvals = state.approvals
    with state.database.connect() as connection:
        sent = state.pooling.sender.shipments(connection)
        known = {
            (item["study_id"], item["dataset_hash"])
            for item in sent
            if item["state"] not in ("refused", "stopped")
        }
        open_studies = [
            study
            for study in approvals.studies(connection)
            if study.definition.mode == "pooled"
            and study.definition.pool_site != state.peers.site
            and study.track_state == "released"
            and (study.study_id, study.dataset_hash) not in known
        ]
        context = {
            "own": state.peers.own,
            "peers": state.peers.all(connection),
            "strangers": state.pooling.letters.strangers(connection),
            "sent": sent,
            "received": state.pooling.receiver.incoming(connection),
            "held": state.pooling.ending.held(connection),
            "open_studies": open_studies,
        }
    return render(
        request,
        "node/pooling/pool.html",
        status_code=409 if problem else 200,
        problem=problem,
        may_ask=is_permitted("node", user.roles, "export.ask"),
        may_delete=is_permitted("node", user.roles, "pool.delete"),
        is_pool=state.settings.pool.receives,
        **context,
    )


def _plain(item: dict[str, Any], *names: str) -> dict[str, Any]:
    return {
        name: item[name].isoformat() if hasattr(item[name], "isoformat") else item[name] for name in names
    }
