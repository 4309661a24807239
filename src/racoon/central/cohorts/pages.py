"""The page on which a cohort is built: a form with groups of criteria, checked while somebody types."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from racoon.central.access import actor_role
from racoon.central.cohorts.filling import form_of
from racoon.central.cohorts.flow import flow_in_words
from racoon.central.cohorts.offers import POLICIES, SYSTEMS, USUAL_SYSTEM
from racoon.central.cohorts.service import Cohorts
from racoon.central.cohorts.wording import sentence_of
from racoon.central.cohorts.writing import (
    KINDS,
    SIDES,
    Written,
    change,
    groups_of,
    read_form,
)
from racoon.central.studies.model import DEFINITION_STATES
from racoon.domain.answered_criterion import AVAILABILITY
from racoon.domain.cohort import GENDERS, CohortDefect, CohortDefinition, parse_cohort
from racoon.domain.labels import LABEL_MAPS
from racoon.domain.matching import EXACT
from racoon.domain.permission import is_permitted
from racoon.errors import RacoonError
from racoon.platform.auth import Forbidden, User, require
from racoon.platform.database import Database
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import words_of

Planner = Annotated[User, Depends(require("study.create"))]

MODALITIES = ("CT", "MR", "PT", "CR", "DX", "US", "MG", "XA", "NM", "RF")
BODY_PARTS = (
    "HEAD",
    "NECK",
    "CHEST",
    "HEART",
    "ABDOMEN",
    "PELVIS",
    "LIVER",
    "PANCREAS",
    "SPINE",
    "WHOLEBODY",
)
"""Values of DICOM that the fields offer; others can be typed."""


def pages(database: Database, cohorts: Cohorts) -> APIRouter:
    """Make the routes of the page."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/studies/{study_id}/cohort")
    def show_form(
        study_id: str,
        request: Request,
        user: Planner,
        start: str = "",
    ) -> Response:
        """Show the form with the study's cohort, or to start from, with that of another study."""
        with database.connect() as connection:
            found = cohorts.study(connection, start or study_id)
        return _draw(
            database, cohorts, request, user, study_id, form_of(parse_cohort(found.definition.cohort))
        )

    @routes.post("/studies/{study_id}/cohort/check")
    async def check_form(study_id: str, request: Request, _user: Planner) -> Response:
        """Say what the form makes so far: part of a page, asked for while somebody types."""
        form = await _form_of(request)

        def check() -> Response:
            with database.connect() as connection:
                cohorts.study(connection, study_id)
            found = _preview(read_form(form), language_of(request))
            return render(request, "central/_cohort_preview.html", **found)

        return await run_in_threadpool(check)

    @routes.post("/studies/{study_id}/cohort")
    async def use_form(study_id: str, request: Request, user: Planner) -> Response:
        """Add or remove a criterion, check, put the cohort into the study, or ask the sites for a count too."""
        form = await _form_of(request)
        action, version = form.pop("action", "check"), form.pop("version", "")

        def use() -> Response:
            if action not in ("save", "count", "flow"):
                changed, focus = change(form, action)
                return _draw(database, cohorts, request, user, study_id, changed, focus=focus)
            written = read_form(form)
            if written.definition is None:
                return _draw(database, cohorts, request, user, study_id, form)
            try:
                _keep(
                    database,
                    cohorts,
                    study_id,
                    written.definition,
                    user,
                    version,
                    asked="" if action == "save" else action,
                )
            except RacoonError as error:
                if error.status in (401, 403, 404):
                    raise
                return _draw(database, cohorts, request, user, study_id, form, failure=error.public_message)
            where = f"/studies/{study_id}/cohort#count" if action != "save" else f"/studies/{study_id}"
            return RedirectResponse(where, status_code=303)

        return await run_in_threadpool(use)

    return routes


def _draw(
    database: Database,
    cohorts: Cohorts,
    request: Request,
    user: User,
    study_id: str,
    form: Mapping[str, str],
    *,
    focus: str = "",
    failure: str = "",
) -> Response:
    language = language_of(request)
    with database.connect() as connection:
        study = cohorts.study(connection, study_id)
        others = [
            (other, title, sentence_of(cohort, language))
            for other, title, cohort in cohorts.saved(connection)
            if other != study_id
        ]
        feasibility = cohorts.newest(connection, study_id)
        drawn = cohorts.flow(connection, feasibility["run_id"]) if feasibility else []
    return render(
        request,
        "central/cohort.html",
        status_code=409 if failure else 200,
        study=study,
        may_save=study.state in DEFINITION_STATES,
        may_count=is_permitted("central", user.roles, "cohort.count"),
        saved_hash=parse_cohort(study.definition.cohort).cases.hash,
        sides={side: groups_of(form, side) for side in SIDES},
        others=others,
        feasibility=feasibility,
        flow=flow_in_words(drawn, language),
        kinds=KINDS,
        policies=POLICIES,
        availability=AVAILABILITY,
        systems=SYSTEMS,
        usual=USUAL_SYSTEM,
        genders=GENDERS,
        modalities=MODALITIES,
        body_parts=BODY_PARTS,
        labels={label.code.key: label.code.meaning for entry in LABEL_MAPS for label in entry.labels},
        focus=focus,
        matching={name: value for name, value in form.items() if name.startswith("matching.")},
        exact=EXACT,
        failure=words_of(language)(failure),
        **_preview(read_form(form), language),
    )


def _keep(
    database: Database,
    cohorts: Cohorts,
    study_id: str,
    definition: CohortDefinition,
    user: User,
    version: str,
    *,
    asked: str,
) -> None:
    number = int(version) if version.isdecimal() and len(version) < 10 else 0
    with database.begin() as connection:
        cohorts.propose(connection, study_id, definition, number, user.name, actor_role(user, "study.create"))
        if asked:
            if not is_permitted("central", user.roles, "cohort.count"):
                raise Forbidden("Your roles do not allow this.")
            role = actor_role(user, "cohort.count")
            cohorts.start_count(connection, study_id, user.name, role, with_flow=asked == "flow")


async def _form_of(request: Request) -> dict[str, str]:
    return {key: str(value) for key, value in (await request.form()).items()}


def _preview(written: Written, language: str) -> dict[str, Any]:
    """What the form makes so far, for the template; the parser has the last word about a definition."""
    say, definition, problems = words_of(language), written.definition, dict(written.problems)
    if definition is not None:
        try:
            definition = parse_cohort(definition.to_dict())
        except CohortDefect as defect:
            definition, problems = None, {"": defect.public_message}
    return {
        "problems": {name: say(problem) for name, problem in problems.items()},
        "sentence": sentence_of(definition, language) if definition else "",
        "hash": definition.hash if definition else "",
        "document": json.dumps(definition.to_dict(), indent=2, ensure_ascii=False) if definition else "",
    }
