"""Routes of analyses: start one, look at it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import RedirectResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from racoon.central.access import actor_role
from racoon.central.analysing.bundle import make_bundle, plan_yaml
from racoon.central.analysing.comparison import side_by_side
from racoon.central.analysing.flow import flow_figure
from racoon.central.analysing.model import Mode, UnknownAnalysis
from racoon.central.analysing.plan_sentences import problem_text
from racoon.central.analysing.report import sentence, view
from racoon.central.analysing.service import AnalysisRuns
from racoon.central.analysing.writing import (
    EXAMPLES,
    PARTS,
    change,
    document_of_form,
    fields_of,
    form_of_plan,
    preview_of,
    rows_of,
)
from racoon.central.monitoring.service import Monitoring
from racoon.central.studies.model import DEFINITION_STATES
from racoon.domain.analysis import parse_plan
from racoon.domain.analysis.columns import columns_of
from racoon.domain.analysis.estimators import ESTIMATORS
from racoon.domain.permission import is_permitted
from racoon.errors import RacoonError
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.science.biomarkers.catalogue import unit_of
from racoon.web.pages import render
from racoon.web.translation import language_of

Starter = Annotated[User, Depends(require("run.start"))]
Reader = Annotated[User, Depends(require("result.read"))]
Planner = Annotated[User, Depends(require("study.create"))]


class NewAnalysis(BaseModel):
    """Which of the study's approved plans to run (its hash or name; empty where there is only one), and how."""

    model_config = ConfigDict(extra="forbid")

    plan: Annotated[str, Field(max_length=200)] = ""
    mode: Mode = Mode.FEDERATED


def routes(database: Database, analyses: AnalysisRuns) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["analyses"])

    @routes.post("/api/studies/{study_id}/analyses", status_code=201)
    def start_analysis(study_id: str, body: NewAnalysis, user: Starter) -> dict[str, str]:
        """Start an analysis that the study's sites have approved."""
        with database.begin() as connection:
            role = actor_role(user, "run.start")
            run_id = analyses.start(connection, study_id, body.plan, user.name, role, body.mode)
        return {"run_id": run_id}

    @routes.get("/api/studies/{study_id}/analyses")
    def list_analyses(study_id: str, _user: Reader) -> list[dict[str, Any]]:
        """List a study's analyses, newest first, without their results."""
        with database.connect() as connection:
            return [describe(row, with_result=False) for row in analyses.analyses(connection, study_id)]

    @routes.get("/api/analyses/{run_id}")
    def show_analysis(run_id: str, _user: Reader) -> dict[str, Any]:
        """Show an analysis: its plan, its state, and the result with everything it came from."""
        with database.connect() as connection:
            return describe(analyses.analysis(connection, run_id))

    @routes.get("/api/analyses/{run_id}/bundle.zip", response_class=Response)
    def download_bundle(run_id: str, _user: Reader) -> Response:
        """Download everything about a result as one archive; the same analysis gives the same files."""
        with database.connect() as connection:
            row = analyses.analysis(connection, run_id)
        if not row["result"]:
            raise UnknownAnalysis("This analysis has no result yet.")
        return Response(
            make_bundle(row["result"], row["ended_at"].date().isoformat()),
            media_type="application/zip",
            headers={"content-disposition": f'attachment; filename="{run_id}.zip"'},
        )

    return routes


def _cases_at_sites(row: Mapping[str, Any], addresses: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the page of a site with the cases behind an analysis, and where each site has it."""
    page = f"/analyses/{row['study_id']}/{row['plan_hash'][:12]}"
    found = {site: address + page for site, address in sorted(addresses.items()) if site in row["datasets"]}
    return page, found


def pages(database: Database, analyses: AnalysisRuns, monitoring: Monitoring) -> APIRouter:
    """Make the page of an analysis."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/analyses/{run_id}")
    def show_page(run_id: str, request: Request, _user: Reader) -> Response:
        """Show tables and figures, what was held back and why, every site beside the others."""
        language = language_of(request)
        with database.connect() as connection:
            row = analyses.analysis(connection, run_id)
            addresses = monitoring.people_addresses(connection)
        page, links = _cases_at_sites(row, addresses)
        return render(
            request,
            "central/analysis.html",
            analysis=row,
            reason="; ".join(sentence(part, language) for part in (row["reason"] or "").split("; ")),
            view=view(row["result"], language, links) if row["result"] else None,
            own_page=page,
            opens=links,
            flow=flow_figure(row["result"], language) if row["result"] else "",
            plan=json.dumps(row["plan"], indent=2, ensure_ascii=False),
        )

    @routes.get("/studies/{study_id}/plans/{plan_hash}")
    def compare_modes(study_id: str, plan_hash: str, request: Request, user: Reader) -> Response:
        """Show the same plan in its three ways: sums of all sites, rows of the pool, sites alone."""
        language = language_of(request)
        with database.connect() as connection:
            rows = [row for row in analyses.analyses(connection, study_id) if row["plan_hash"] == plan_hash]
            plan = analyses.plan(connection, study_id, plan_hash)
            addresses = monitoring.people_addresses(connection)
        newest = {mode: next((row for row in rows if row["mode"] == mode), None) for mode in Mode}
        done = {
            mode: found
            for mode in Mode
            if (found := next((row for row in rows if row["mode"] == mode and row["result"]), None))
        }
        own = [_cases_at_sites(row, addresses) for row in done.values()]
        return render(
            request,
            "central/modes.html",
            own_page=own[0][0] if own else "",
            opens=dict(sorted({site: link for _, links in own for site, link in links.items()}.items())),
            study_id=study_id,
            plan_hash=plan_hash,
            plan=plan.to_dict(),
            modes=[mode.value for mode in Mode],
            newest={mode.value: row for mode, row in newest.items()},
            is_running=any(row and row["state"] == "running" for row in newest.values()),
            may_start=is_permitted("central", user.roles, "run.start"),
            tables=side_by_side({mode: row["result"] for mode, row in done.items()}, language),
            done={mode.value: row["run_id"] for mode, row in done.items()},
            say=lambda text: sentence(text, language),
        )

    @routes.post("/studies/{study_id}/plans/{plan_hash}")
    def start_mode(study_id: str, plan_hash: str, user: Starter, mode: Annotated[Mode, Form()]) -> Response:
        """Start the plan in one of its ways and go back to the page."""
        with database.begin() as connection:
            role = actor_role(user, "run.start")
            analyses.start(connection, study_id, plan_hash, user.name, role, mode)
        return RedirectResponse(f"/studies/{study_id}/plans/{plan_hash}", status_code=303)

    routes.include_router(_writing(database, analyses))
    return routes


def _writing(database: Database, analyses: AnalysisRuns) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    async def form_of(request: Request) -> dict[str, str]:
        return {key: str(value) for key, value in (await request.form()).items()}

    def draw(
        request: Request, study_id: str, form: Mapping[str, str], *, focus: str = "", failure: str = ""
    ) -> Response:
        with database.connect() as connection:
            study = analyses.study(connection, study_id)
        offered = columns_of(study.definition.measuring, unit_of)
        preview = preview_of(form, offered)
        return render(
            request,
            "central/plan.html",
            study_id=study_id,
            version=study.version,
            may_save=study.state in DEFINITION_STATES,
            plans=[plan.name for plan in study.definition.analyses],
            offered=offered,
            form=form,
            rows={part: rows_of(form, part) for part in PARTS},
            estimators=[
                {"kind": row["kind"], "fields": fields_of(row["kind"], row)}
                for row in rows_of(form, "estimator")
                if row.get("kind") in ESTIMATORS
            ],
            kinds=list(ESTIMATORS),
            examples=EXAMPLES,
            names=[item["name"] for item in preview.plan["variables"]] if preview.plan else _names(form),
            focus=focus,
            failure=problem_text(failure, language_of(request)),
            problem=problem_text(preview.problem, language_of(request)),
            preview=preview,
            yaml=plan_yaml(preview.plan) if preview.plan else "",
        )

    @routes.get("/studies/{study_id}/plan")
    def show_form(study_id: str, request: Request, _user: Planner, plan: str = "") -> Response:
        """Show the form of an analysis plan, empty or with one of the study's plans."""
        with database.connect() as connection:
            study = analyses.study(connection, study_id)
        known = next((item for item in study.definition.analyses if item.name == plan), None)
        offered = columns_of(study.definition.measuring, unit_of)
        return draw(request, study_id, form_of_plan(known.to_dict(), offered) if known else {})

    @routes.post("/studies/{study_id}/plan/check")
    async def check_form(study_id: str, request: Request, _user: Planner) -> Response:
        """Say what the form makes so far: part of a page, asked for while somebody types."""
        form = await form_of(request)

        def check() -> Response:
            with database.connect() as connection:
                study = analyses.study(connection, study_id)
            preview = preview_of(form, columns_of(study.definition.measuring, unit_of))
            written = plan_yaml(preview.plan) if preview.plan else ""
            problem = problem_text(preview.problem, language_of(request))
            return render(
                request, "central/_plan_preview.html", preview=preview, problem=problem, yaml=written
            )

        return await run_in_threadpool(check)

    @routes.post("/studies/{study_id}/plan")
    async def use_form(study_id: str, request: Request, user: Planner) -> Response:
        """Add or remove a part, check, or put the plan into the study."""
        form = await form_of(request)
        action, version = form.pop("action", "check"), form.pop("version", "")

        def use() -> Response:
            if action != "save":
                changed = change(form, action)
                added = action.split(".")[1] if action.startswith("add.") else ""
                focus = f"{added}.{len(rows_of(changed, added)) - 1}" if added in PARTS else ""
                return draw(request, study_id, changed, focus=focus)
            try:
                with database.begin() as connection:
                    study = analyses.study(connection, study_id)
                    document = document_of_form(form, columns_of(study.definition.measuring, unit_of))
                    role = actor_role(user, "study.create")
                    number = int(version) if version.isdigit() else 0
                    analyses.propose(connection, study_id, parse_plan(document), number, user.name, role)
            except RacoonError as error:
                return draw(request, study_id, form, failure=error.public_message)
            return RedirectResponse(f"/studies/{study_id}", status_code=303)

        return await run_in_threadpool(use)

    return routes


def _names(form: Mapping[str, str]) -> list[str]:
    used = [key.partition(".")[2] for key in form if key.startswith("use.")]
    rows = [row.get("name", "") for part in ("clinical", "derived") for row in rows_of(form, part)]
    return [name for name in (*used, *rows) if name]


def describe(row: Mapping[str, Any], *, with_result: bool = True) -> dict[str, Any]:
    """Return the JSON form of an analysis."""
    document = {
        "run_id": row["run_id"],
        "study_id": row["study_id"],
        "name": row["plan"]["name"],
        "plan_hash": row["plan_hash"],
        "mode": row["mode"],
        "state": row["state"],
        "reason": row["reason"],
        "created_by": row["created_by"],
        "created_at": clock.to_text(row["created_at"]),
        "ended_at": clock.to_text(row["ended_at"]) if row["ended_at"] else None,
    }
    if with_result:
        document |= {"plan": row["plan"], "rounds": row["rounds"], "result": row["result"]}
    return document
