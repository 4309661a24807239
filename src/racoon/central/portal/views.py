"""What the pages have in common: the rooms they ask, and the page of one study that every form returns to."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from fastapi import Request
from starlette.responses import RedirectResponse, Response

from racoon.central.analyses.service import Analyses
from racoon.central.analysing.service import AnalysisRuns
from racoon.central.cohorts.service import Cohorts
from racoon.central.monitoring.service import Monitoring
from racoon.central.onboarding.service import Onboardings
from racoon.central.orchestration.service import Runs
from racoon.central.portal.model import SIDE_STEPS, STUDY_PATH, recruitment
from racoon.central.results.report import view
from racoon.central.results.service import Results
from racoon.central.sites.service import Sites
from racoon.central.studies.service import Amendments, Studies
from racoon.central.words import number_text, score_text
from racoon.domain.governance.amendment import AMENDABLE_STATES, AMENDMENT_TABLE, OPEN_AMENDMENT_STATES
from racoon.domain.governance.reminding import WAITING_STATES
from racoon.domain.governance.site_track import SITE_TRACK_PATH
from racoon.domain.permission import is_permitted
from racoon.errors import RacoonError
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.database import Database
from racoon.web.pages import render
from racoon.web.translation import language_of


@dataclass(frozen=True)
class Rooms:
    """The services that pages ask."""

    database: Database
    audit: AuditLog
    network: str
    language: Literal["en", "de"]
    sites: Sites
    studies: Studies
    amendments: Amendments
    runs: Runs
    cohorts: Cohorts
    analyses: Analyses
    analysis_runs: AnalysisRuns
    results: Results
    monitoring: Monitoring
    onboardings: Onboardings
    has_public_page: bool = False


def study_page(
    rooms: Rooms, request: Request, user: User, study_id: str, failure: str | None = None
) -> Response:
    """Show a study with everything people decide from."""
    with rooms.database.connect() as connection:
        study = rooms.studies.study(connection, study_id)
        steps = rooms.studies.next_steps(connection, study, user.name, user.roles)
        matrix = rooms.studies.matrix(connection, study_id)
        runs = rooms.runs.runs(connection, study_id=study_id)
        changes = [
            (change, rooms.studies.matrix(connection, study_id, change.hash), AMENDMENT_TABLE)
            for change in rooms.amendments.amendments(connection, study_id)
        ]
        frozen = rooms.analyses.frozen(connection, study_id)
        reached = recruitment(study, frozen)
        matched = {site: facts["matching"] for site, facts in sorted(frozen.items()) if facts.get("matching")}
        enrolled = rooms.sites.enrolled(connection)
        history = rooms.studies.history(connection, study_id)
        feasibility = rooms.cohorts.newest(connection, study_id)
        result = (
            rooms.results.result(connection, study_id)
            if is_permitted("central", user.roles, "result.read")
            else None
        )
        addresses = rooms.monitoring.people_addresses(connection)
    shown = {run["run_id"]: run for run in runs if run["parent"] is None}
    for run in runs:
        if run["parent"] in shown:
            parent = shown[run["parent"]]
            shown[run["parent"]] = {**parent, "jobs": [*run["jobs"], *parent["jobs"]]}
    return page(
        request,
        "study.html",
        status_code=200 if failure is None else 409,
        study=study,
        steps=steps,
        matrix=matrix,
        runs=list(shown.values()),
        is_running=any(run["state"] == "running" for run in runs),
        unasked=[code for code in enrolled if code not in {row.site for row in matrix}],
        history=history,
        feasibility=feasibility,
        analysis_plans=[(plan.hash, plan.name) for plan in study.definition.analyses],
        definition=json.dumps(study.definition.to_dict(), indent=2, ensure_ascii=False),
        path=STUDY_PATH,
        side_steps=SIDE_STEPS,
        site_path=SITE_TRACK_PATH,
        failure=failure,
        changes=changes,
        reached=reached,
        matched=matched,
        waiting_states=WAITING_STATES,
        may_amend=study.state in AMENDABLE_STATES
        and not any(change.state in OPEN_AMENDMENT_STATES for change, _, _ in changes),
        view=view(result, language_of(request), addresses) if result else None,
    )


def then_show(rooms: Rooms, request: Request, user: User, study_id: str, act: Callable[[], None]) -> Response:
    """Do what a form asks and show the study again, with the reason where it was refused."""
    try:
        act()
    except RacoonError as error:
        if error.status in (401, 404):
            raise
        return study_page(rooms, request, user, study_id, error.public_message)
    return RedirectResponse(f"/studies/{study_id}", status_code=303)


def page(request: Request, template: str, *, status_code: int = 200, **context: Any) -> Response:
    """Render one of CENTRAL's pages."""
    language = language_of(request)
    return render(
        request,
        f"central/{template}",
        status_code=status_code,
        figure=lambda value, digits=4: number_text(value, language, digits),
        score=lambda value, places=3: score_text(value, language, places),
        **context,
    )
