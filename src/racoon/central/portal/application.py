"""The application of a study: the form, saved as one types, its printable page, its JSON, and the lay summary.

A page made for printing becomes a PDF in every browser; CENTRAL writes none itself.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from racoon.central.access import actor_role
from racoon.central.portal.views import Rooms, page
from racoon.central.studies.kits import load_kits
from racoon.central.studies.model import DEFINITION_STATES, Study, StudyDefect, missing_fields
from racoon.domain.application import GROUPS, answered, check_application
from racoon.domain.permission import ACTION_STATES, PERMISSIONS, is_permitted
from racoon.platform.auth import User, require
from racoon.web.translation import language_of
from racoon.web.words import words_of

Reader = Annotated[User, Depends(require("study.read"))]
Writer = Annotated[User, Depends(require("study.answer"))]

RowVersion = Annotated[int, Field(ge=-1, le=2**31 - 1)]
"""Version of a row, as the database can hold it."""


class Answers(BaseModel):
    """What was typed, by field name, and the version of the study it was typed into."""

    model_config = ConfigDict(extra="forbid")

    answers: Annotated[dict[str, Annotated[str, Field(max_length=50_000)]], Field(max_length=100)]
    version: RowVersion


def routes(rooms: Rooms) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    def study_of(study_id: str) -> Study:
        with rooms.database.connect() as connection:
            return rooms.studies.study(connection, study_id)

    def save(study_id: str, answers: dict[str, str], version: int, user: User) -> Study:
        with rooms.database.begin() as connection:
            role = actor_role(user, "study.answer")
            return rooms.studies.save_answers(connection, study_id, answers, version, user.name, role)

    @routes.get("/api/studies/{study_id}/application", tags=["studies"])
    def show_application(study_id: str, _user: Reader) -> dict[str, Any]:
        """Return the application as data: answers by field, what is wrong, what is missing."""
        return describe(study_of(study_id))

    @routes.patch("/api/studies/{study_id}/application", tags=["studies"])
    def save_answers(study_id: str, body: Answers, request: Request, user: Writer) -> dict[str, Any]:
        """Save answers as they are typed; wrong ones are kept and named, in ``words`` in the reader's language."""
        state = describe(save(study_id, body.answers, body.version, user))
        say = words_of(language_of(request))
        return {**state, "words": {name: say(problem) for name, problem in state["problems"].items()}}

    @routes.post("/studies/kits", include_in_schema=False)
    def start_from_kit(
        user: Annotated[User, Depends(require("study.create"))],
        kit: Annotated[str, Form(max_length=40)],
        title: Annotated[str, Form(max_length=300)] = "",
    ) -> Response:
        """Make a concept from a kit and open its form."""
        kits = load_kits()
        if kit not in kits:
            raise StudyDefect("There is no such study kit.", code="study.kit")
        document = {**kits[kit], **({"title": title.strip()} if title.strip() else {})}
        with rooms.database.begin() as connection:
            role = actor_role(user, "study.create")
            study = rooms.studies.create(connection, document, user.name, role)
        return RedirectResponse(f"/studies/{study.study_id}/application", status_code=303)

    @routes.get("/studies/{study_id}/application", include_in_schema=False)
    def show_form(study_id: str, request: Request, user: Reader) -> Response:
        """Show the form, or the answers where they are fixed."""
        study = study_of(study_id)
        may_write = is_permitted("central", user.roles, "study.answer") and study.state in DEFINITION_STATES
        return page(request, "application.html", may_write=may_write, **_context(study))

    @routes.post("/studies/{study_id}/application", include_in_schema=False)
    async def save_form(study_id: str, request: Request, user: Writer) -> Response:
        """Save the whole form: the way without a script."""
        form = {key: str(value) for key, value in (await request.form()).items()}
        version = form.pop("version", "")
        number = int(version) if version.isdigit() else 0
        await run_in_threadpool(save, study_id, form, number, user)
        return RedirectResponse(f"/studies/{study_id}/application", status_code=303)

    routes.include_router(_reading(rooms))
    return routes


def _reading(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    def study_of(study_id: str) -> Study:
        with rooms.database.connect() as connection:
            return rooms.studies.study(connection, study_id)

    @routes.get("/studies/{study_id}/application/print", include_in_schema=False)
    def print_application(study_id: str, request: Request, _user: Reader) -> Response:
        """Show the application for printing, or for keeping as PDF."""
        return page(request, "application_print.html", **_context(study_of(study_id)))

    @routes.get("/studies/{study_id}/application.json", include_in_schema=False)
    def download_application(study_id: str, _user: Reader) -> Response:
        """Give the application with the whole definition as a file."""
        study = study_of(study_id)
        name = f'attachment; filename="{study.study_id}-application.json"'
        document = {**describe(study), "definition": study.definition.to_dict()}
        return JSONResponse(document, headers={"Content-Disposition": name})

    @routes.get("/studies/{study_id}/summary", include_in_schema=False)
    def show_summary(study_id: str, request: Request, _user: Reader) -> Response:
        """Show what the study is about, in words for everybody."""
        return page(request, "summary.html", study=study_of(study_id))

    @routes.get("/permissions", include_in_schema=False)
    def show_permissions(
        request: Request, _user: Annotated[User, Depends(require("permission.read"))]
    ) -> Response:
        """Show the table of permissions that every route asks."""
        places = {place: dict(sorted(actions.items())) for place, actions in PERMISSIONS.items()}
        return page(request, "permissions.html", places=places, action_states=ACTION_STATES)

    return routes


def describe(study: Study) -> dict[str, Any]:
    """Return the application as data."""
    done, total = answered(study.definition.application)
    return {
        "study_id": study.study_id,
        "study_hash": study.hash,
        "version": study.version,
        "title": study.definition.title,
        "lay_summary": study.definition.lay_summary,
        "answers": study.definition.application,
        "problems": check_application(study.definition.application, study.definition.mode),
        "missing": missing_fields(study.definition),
        "answered": done,
        "questions": total,
    }


def _context(study: Study) -> dict[str, Any]:
    return {"study": study, "groups": GROUPS, **{k: v for k, v in describe(study).items() if k != "study_id"}}
