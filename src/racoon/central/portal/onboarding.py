"""New sites: their checklist, the view of the mentor, and what the node's own readiness test found."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import RedirectResponse, Response

from racoon.central.access import actor_role
from racoon.central.monitoring.model import Condition
from racoon.central.onboarding.model import Onboarding
from racoon.central.portal.views import Rooms, page
from racoon.central.sites.model import UnknownSite
from racoon.errors import Defect
from racoon.platform.auth import User, require

Reader = Annotated[User, Depends(require("site.read"))]
Manager = Annotated[User, Depends(require("site.manage"))]

CONNECTED = frozenset({Condition.WELL, Condition.ATTENTION})
UNDECIDED = frozenset({"requested", "not_requested"})


class LineView(BaseModel):
    """One line of a checklist."""

    key: str
    text: str
    by_hand: bool
    is_done: bool
    done_by: str | None = None
    done_at: datetime | None = None


class ReadinessView(BaseModel):
    """The newest readiness test of a node."""

    tested_at: datetime
    version: str
    policy_version: str
    is_ready: bool
    checks: list[dict[str, Any]]


class OnboardingView(BaseModel):
    """A site on its way into the network."""

    site: str
    name: str
    state: str
    mentor: str
    done: int
    of: int
    next: str | None
    lines: list[LineView]
    readiness: ReadinessView | None


class Mentor(BaseModel):
    """Which site accompanies; empty for none."""

    model_config = ConfigDict(extra="forbid")

    mentor: Annotated[str, Field(max_length=16)]


class Done(BaseModel):
    """Whether something is done."""

    model_config = ConfigDict(extra="forbid")

    is_done: bool


def routes(rooms: Rooms) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.get("/api/onboarding", tags=["sites"])
    def list_onboarding(
        _user: Reader, mentor: Annotated[str, Query(max_length=16)] = ""
    ) -> list[OnboardingView]:
        """Return the checklist of every site, or of those that a mentor accompanies."""
        return [_view(item) for item in _load(rooms) if not mentor or item.mentor == mentor]

    @routes.put("/api/onboarding/{code}/mentor", tags=["sites"])
    def set_mentor(code: str, body: Mentor, user: Manager) -> OnboardingView:
        """Say which site accompanies a new one."""
        _set_mentor(rooms, code, body.mentor, user)
        return _view(_one(rooms, code))

    @routes.put("/api/onboarding/{code}/items/{item}", tags=["sites"])
    def tick_item(code: str, item: str, body: Done, user: Manager) -> OnboardingView:
        """Confirm something that cannot be seen from here, or take it back."""
        _tick(rooms, code, item, user, is_done=body.is_done)
        return _view(_one(rooms, code))

    routes.include_router(_pages(rooms))
    return routes


def _pages(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/onboarding")
    def show_list(
        request: Request, _user: Reader, mentor: Annotated[str, Query(max_length=16)] = ""
    ) -> Response:
        """Show all sites on their way, or those that a mentor accompanies."""
        found = _load(rooms)
        mentors = sorted({item.mentor for item in found if item.mentor})
        shown = [item for item in found if not mentor or item.mentor == mentor]
        return page(request, "onboardings.html", shown=shown, mentors=mentors, mentor=mentor)

    def show(request: Request, code: str, failure: str | None = None) -> Response:
        item = _one(rooms, code)
        with rooms.database.connect() as connection:
            enrolled = [other for other in rooms.sites.enrolled(connection) if other != code]
        status = 200 if failure is None else 422
        return page(
            request, "onboarding.html", status_code=status, item=item, enrolled=enrolled, failure=failure
        )

    @routes.get("/onboarding/{code}")
    def show_site(code: str, request: Request, _user: Reader) -> Response:
        """Show the checklist of a site, for itself and its mentor."""
        return show(request, code)

    @routes.post("/onboarding/{code}/mentor")
    def choose_mentor(
        code: str, request: Request, user: Manager, mentor: Annotated[str, Form(max_length=16)] = ""
    ) -> Response:
        """Choose the mentor."""
        try:
            _set_mentor(rooms, code, mentor, user)
        except Defect as error:
            if error.status == 404:
                raise
            return show(request, code, error.public_message)
        return RedirectResponse(f"/onboarding/{code}", status_code=303)

    @routes.post("/onboarding/{code}/items")
    def tick(
        code: str,
        request: Request,
        user: Manager,
        item: Annotated[str, Form(max_length=40)],
        done: Annotated[str, Form(max_length=3)] = "",
    ) -> Response:
        """Confirm a line, or take it back."""
        try:
            _tick(rooms, code, item, user, is_done=done == "yes")
        except Defect as error:
            if error.status == 404:
                raise
            return show(request, code, error.public_message)
        return RedirectResponse(f"/onboarding/{code}", status_code=303)

    return routes


def _load(rooms: Rooms) -> list[Onboarding]:
    with rooms.database.connect() as connection:
        statuses = rooms.monitoring.statuses(connection)
        connected = {status.site for status in statuses if status.condition in CONNECTED}
        decided = {
            track.site
            for study in rooms.studies.studies(connection)
            for track in rooms.studies.site_tracks.all(connection, study.study_id)
            if track.state not in UNDECIDED
        }
        return rooms.onboardings.all(connection, connected=connected, decided=decided)


def _one(rooms: Rooms, code: str) -> Onboarding:
    for item in _load(rooms):
        if item.site.code == code:
            return item
    raise UnknownSite("There is no site with this code.")


def _set_mentor(rooms: Rooms, code: str, mentor: str, user: User) -> None:
    with rooms.database.begin() as connection:
        rooms.onboardings.set_mentor(connection, code, mentor, user.name, actor_role(user, "site.manage"))


def _tick(rooms: Rooms, code: str, item: str, user: User, *, is_done: bool) -> None:
    with rooms.database.begin() as connection:
        role = actor_role(user, "site.manage")
        rooms.onboardings.tick(connection, code, item, user.name, role, is_done=is_done)


def _view(item: Onboarding) -> OnboardingView:
    test = item.readiness
    return OnboardingView(
        site=item.site.code,
        name=item.site.name,
        state=item.site.state.value,
        mentor=item.mentor,
        done=item.done,
        of=len(item.lines),
        next=item.next.key if item.next else None,
        lines=[
            LineView(
                key=line.item.key,
                text=line.item.text,
                by_hand=line.item.by_hand,
                is_done=line.is_done,
                done_by=line.tick.done_by if line.tick else None,
                done_at=line.tick.done_at if line.tick else None,
            )
            for line in item.lines
        ],
        readiness=ReadinessView(
            tested_at=test.tested_at,
            version=test.version,
            policy_version=test.policy_version,
            is_ready=test.is_ready,
            checks=[dict(check) for check in test.checks],
        )
        if test
        else None,
    )
