"""Page of who may see the images of which research study: see, give, take back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

from fastapi import APIRouter, Form, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.permission import is_permitted
from racoon.errors import RacoonError
from racoon.node.archive._grant_routes import Granter, SeriesOfStudy
from racoon.node.archive.access import SEES_ALL, ImageAccess
from racoon.platform.auth import AccountStore
from racoon.web.pages import render

router = APIRouter(prefix="/archive/grants", include_in_schema=False)

Name = Annotated[str, Form(max_length=80)]

StudyChoices = Callable[[], Sequence[tuple[str, str]]]
"""Port: id and title of every research study with a frozen dataset; the application registers it."""


@router.get("")
def show_grants(request: Request, user: Granter) -> Response:
    """Show who was let into the images of which study, and whether that is in force."""
    return _page(request)


@router.post("")
def grant(request: Request, user: Granter, user_name: Name = "", study_id: Name = "") -> Response:
    """Let a person see the images of the dataset that is frozen for a study."""
    series_of_study: SeriesOfStudy = request.app.state.series_of_study
    if user_name not in _limited_people(request) or not study_id:
        return _page(request, user_name, study_id, problem="Choose a person and a study.")
    try:
        series = series_of_study(study_id)
    except RacoonError as refusal:
        return _page(request, user_name, study_id, problem=refusal.public_message)
    role = ",".join(sorted(user.roles))
    _access(request).grant(user_name, study_id, series, actor=user.name, actor_role=role)
    return RedirectResponse("/archive/grants", status_code=303)


@router.post("/revoke")
def revoke(request: Request, user: Granter, user_name: Name, study_id: Name) -> Response:
    """Take the right back; it ends with the next request."""
    role = ",".join(sorted(user.roles))
    _access(request).revoke(user_name, study_id, actor=user.name, actor_role=role)
    return RedirectResponse("/archive/grants", status_code=303)


def _page(request: Request, user_name: str = "", study_id: str = "", *, problem: str = "") -> Response:
    access = _access(request)
    choices: StudyChoices = request.app.state.study_choices
    grants = access.grants()
    studies = list(choices())
    return render(
        request,
        "node/archive/grants.html",
        status_code=400 if problem else 200,
        grants=grants,
        in_force=access.open_studies(sorted({item.study_id for item in grants})),
        titles=dict(studies),
        people=_limited_people(request),
        studies=studies,
        is_enforced=request.app.state.image_access is not None,
        chosen_person=user_name,
        chosen_study=study_id,
        problem=problem,
    )


def _limited_people(request: Request) -> list[str]:
    """People whose roles open images at all, and who do not see all of them anyway."""
    accounts: AccountStore = request.app.state.accounts
    return [
        item.user.name
        for item in accounts.accounts(request.app.state.database)
        if not item.is_disabled
        and is_permitted("node", item.user.roles, "image.read")
        and not is_permitted("node", item.user.roles, SEES_ALL)
    ]


def _access(request: Request) -> ImageAccess:
    found: ImageAccess = request.app.state.image_grants
    return found
