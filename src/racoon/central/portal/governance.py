"""Forms of a study's governance: amendments, reminders, and the page that says who may do what."""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import Response

from racoon.central.access import actor_role
from racoon.central.portal.model import artefacts_of
from racoon.central.portal.views import Rooms, then_show
from racoon.central.studies.model import StudyDefect
from racoon.domain.governance.amendment import AMENDMENT_TABLE
from racoon.errors import Refused
from racoon.platform.auth import User, require


def routes(rooms: Rooms) -> APIRouter:
    """Make the forms."""
    routes = APIRouter(include_in_schema=False)

    @routes.post("/studies/{study_id}/reminders")
    def remind(
        study_id: str,
        request: Request,
        user: Annotated[User, Depends(require("study.request_sites"))],
        site: Annotated[str, Form(max_length=16)],
    ) -> Response:
        """Remind a site."""

        def act() -> None:
            with rooms.database.begin() as connection:
                role = actor_role(user, "study.request_sites")
                rooms.studies.remind(connection, study_id, site, user.name, role)

        return then_show(rooms, request, user, study_id, act)

    @routes.post("/studies/{study_id}/amendments")
    def submit_amendment(
        study_id: str,
        request: Request,
        user: Annotated[User, Depends(require("study.amend"))],
        definition: Annotated[str, Form(max_length=200_000)],
        reason: Annotated[str, Form(max_length=2000)] = "",
    ) -> Response:
        """Submit a new version of a study under way."""

        def act() -> None:
            try:
                document = json.loads(definition)
            except ValueError as error:
                raise StudyDefect("This is not a JSON document.") from error
            if not isinstance(document, dict):
                raise StudyDefect("This is not a JSON document.")
            with rooms.database.begin() as connection:
                role = actor_role(user, "study.amend")
                rooms.amendments.submit(connection, study_id, document, reason, user.name, role)

        return then_show(rooms, request, user, study_id, act)

    @routes.post("/studies/{study_id}/amendments/{number}/steps")
    async def take_amendment_step(
        study_id: str,
        number: int,
        request: Request,
        user: Annotated[User, Depends(require("study.transition"))],
    ) -> Response:
        """Take a step of an amendment."""
        form = {key: str(value) for key, value in (await request.form()).items()}
        target = form.get("target", "")

        def act() -> None:
            try:
                with rooms.database.begin() as connection:
                    change = rooms.amendments.amendment(connection, study_id, number)
                    row = AMENDMENT_TABLE.find(change.state, target)
                    rooms.amendments.transition(
                        connection,
                        study_id,
                        number,
                        target,
                        artefacts=artefacts_of(form, (*row.artefacts, *row.optional) if row else ()),
                        version=int(form["version"]) if form.get("version", "").isdigit() else None,
                        actor=user.name,
                        roles=user.roles,
                    )
            except Refused as refusal:
                with rooms.database.begin() as connection:
                    rooms.studies.record_refusal(
                        connection, study_id, target, user.name, user.main_role, refusal.error_code
                    )
                raise

        return await run_in_threadpool(then_show, rooms, request, user, study_id, act)

    return routes
