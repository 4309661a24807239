"""The page of cases that are stopped because images and clinical record disagree, and how well datasets are linked.

It expects ``app.state.database``, ``consent``, ``audit`` and ``review``.  Pseudonyms only: re-identification says who
it is.  Doubtful identities are compared on a page of their own, which shows names and no pseudonym.
"""

from __future__ import annotations

from typing import Annotated, Literal, cast

from fastapi import APIRouter, Depends, Form, Request
from starlette.responses import Response

from racoon.domain.identity import Pseudonym
from racoon.node.clinical import matching, ordering
from racoon.node.clinical.doubts import KINDS, PARTS, NoSuchDoubt, State, load_doubts
from racoon.node.clinical.doubts import REASONS as DOUBT_REASONS
from racoon.node.clinical.matching import REASONS, NoSuchSuspicion
from racoon.node.clinical.ordering import NoSuchOrder
from racoon.node.clinical.reviewing import CannotDecide, Review
from racoon.node.curation import service as curation
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/intake/matching", include_in_schema=False)

NO_ROW = "Choose at least one row."
DECIDED_BEFORE = "Somebody decided these rows before. Look at the list again."
SENTENCES = (NO_ROW, DECIDED_BEFORE)

Comparer = Annotated[User, Depends(require("identity.compare"))]
Decider = Annotated[User, Depends(require("match.decide"))]


@router.get("")
def show_cases(request: Request, user: Decider) -> Response:
    """Show the cases that are stopped."""
    return _page(request)


@router.post("")
def decide_case(
    request: Request,
    user: Decider,
    pseudonym: Annotated[str, Form(max_length=64)],
    facts: Annotated[str, Form(max_length=200)],
    decision: Annotated[str, Form(pattern="^(same|other)$")],
) -> Response:
    """Record what somebody found out about a case."""
    try:
        with request.app.state.database.begin() as connection:
            matching.decide_match(
                connection,
                request.app.state.audit,
                Pseudonym(pseudonym),
                facts,
                is_same=decision == "same",
                actor=user.name,
                actor_role=user.main_role,
            )
    except NoSuchSuspicion as error:
        return _page(request, problem=error.public_message)
    return _page(request, settled=True)


@router.post("/orders")
def decide_order(
    request: Request,
    user: Decider,
    order_key: Annotated[str, Form(max_length=80)],
    imaging_study_uid: Annotated[str, Form(max_length=64)],
    decision: Annotated[Literal["linked", "refused"], Form()],
) -> Response:
    """Record whether images are an order's."""
    try:
        with request.app.state.database.begin() as connection:
            ordering.decide_order(
                connection,
                request.app.state.audit,
                order_key,
                imaging_study_uid,
                state=decision,
                actor=user.name,
                actor_role=user.main_role,
            )
    except NoSuchOrder as error:
        return _page(request, problem=error.public_message)
    return _page(request, settled=True)


@router.post("/parted")
def decide_parted(
    request: Request,
    user: Decider,
    decision: Annotated[str, Form(pattern="^(stays|goes)$")],
    keys: Annotated[list[str] | None, Form()] = None,
) -> Response:
    """Record whose some resources are that came while two numbers were one."""
    if not keys:
        return _page(request, problem=NO_ROW)
    review: Review = request.app.state.review
    settled = review.settle(keys, goes=decision == "goes", actor=user.name, actor_role=user.main_role)
    if not settled:
        return _page(request, problem=DECIDED_BEFORE)
    return _page(request, settled=True)


@router.get("/doubts/{doubt_id}")
def show_doubt(request: Request, doubt_id: int, user: Comparer) -> Response:
    """Show two descriptions side by side; never with a pseudonym, and audited."""
    try:
        return _side_by_side(request, doubt_id, user)
    except NoSuchDoubt as error:
        return _page(request, problem=error.public_message)


@router.post("/doubts/{doubt_id}")
def decide_doubt(
    request: Request,
    doubt_id: int,
    user: Comparer,
    decision: Annotated[str, Form(pattern="^(match|match_left|match_right|no_match|later)$")],
    reason: Annotated[str, Form(pattern="^[a-z]{1,20}$")],
) -> Response:
    """Decide a pair."""
    state, _, standing = decision.partition("match_") if decision.startswith("match_") else (decision, "", "")
    review: Review = request.app.state.review
    try:
        review.decide(
            doubt_id,
            "match" if standing else cast(State, state),
            reason=reason,
            standing=standing,
            actor=user.name,
            actor_role=user.main_role,
        )
    except CannotDecide as error:
        return _side_by_side(request, doubt_id, user, problem=error.public_message)
    except NoSuchDoubt as error:
        return _page(request, problem=error.public_message)
    return _page(request, settled=True)


@router.post("/doubts/{doubt_id}/undo")
def undo_doubt(request: Request, doubt_id: int, user: Comparer) -> Response:
    """Take a decision back."""
    try:
        request.app.state.review.undo(doubt_id, actor=user.name, actor_role=user.main_role)
    except (NoSuchDoubt, CannotDecide) as error:
        return _page(request, problem=error.public_message)
    return _page(request, settled=True)


def _side_by_side(request: Request, doubt_id: int, user: User, *, problem: str = "") -> Response:
    review: Review = request.app.state.review
    item, left, right = review.side_by_side(doubt_id, actor=user.name, actor_role=user.main_role)
    return render(
        request,
        "node/intake/doubt.html",
        status_code=409 if problem else 200,
        item=item,
        left=left,
        right=right,
        parts=PARTS,
        kinds=KINDS,
        reasons=DOUBT_REASONS,
        problem=problem,
    )


def _page(request: Request, *, problem: str = "", settled: bool = False) -> Response:
    with request.app.state.database.connect() as connection:
        withdrawn = {item.pseudonym for item in request.app.state.consent.withdrawals(connection)}
        open_doubts = load_doubts(connection)
        decided = load_doubts(connection, ("match", "no_match"))
        cases = [item for item in matching.suspicions(connection) if item.pseudonym not in withdrawn]
        orders = [
            item
            for item in ordering.waiting_orders(connection)
            if item["subject"] not in withdrawn and item["owner"] not in withdrawn
        ]
        parted = [
            item
            for item in matching.undecided(connection)
            if item["here"] not in withdrawn and item["other"] not in withdrawn
        ]
        reports = []
        for item in curation.datasets(connection):
            manifest = curation.load(connection, item["study_id"], item["hash"])
            subjects = {entry.pseudonym for entry in manifest.series}
            reports.append(
                {"study_id": item["study_id"], "dataset_hash": item["hash"]}
                | matching.quality(connection, subjects)
            )
    return render(
        request,
        "node/intake/matching.html",
        status_code=409 if problem else 200,
        cases=cases,
        parted=parted,
        orders=orders,
        order_reasons=ordering.REASONS,
        reasons=REASONS,
        reports=reports,
        doubts=open_doubts,
        compares_names=request.app.state.review.compares_names,
        decided=decided,
        kinds=KINDS,
        parts=PARTS,
        doubt_reasons=DOUBT_REASONS,
        problem=problem,
        settled=settled,
    )
