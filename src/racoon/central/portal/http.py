"""Routes of the pages."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, FastAPI, Form, Query, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse, Response

from racoon.central.access import actor_role
from racoon.central.portal import application, forms, governance, onboarding, portfolio, public
from racoon.central.portal.model import artefacts_of, portfolio_row, study_tasks
from racoon.central.portal.views import Rooms, page, study_page, then_show
from racoon.central.studies.kits import load_kits
from racoon.central.studies.portfolio import FINAL_STATES, overdue_sites
from racoon.domain.governance.study import STUDY_TABLE
from racoon.domain.permission import is_permitted
from racoon.errors import Defect, Refused
from racoon.platform.auth import Forbidden, User, require
from racoon.web.accounts import router as accounts_pages
from racoon.web.deeds import AUDIT_PAGE, AuditQuestion, audit_words
from racoon.web.pages import NavigationItem, Site
from racoon.web.pages import install_pages as install_site_pages

NAVIGATION = (
    NavigationItem("/", "Overview", "overview.read"),
    NavigationItem("/studies", "Studies", "study.read"),
    NavigationItem("/portfolio", "Portfolio", "study.read"),
    NavigationItem("/sites", "Sites", "site.read"),
    NavigationItem("/library", "Models", "model.read"),
    NavigationItem("/monitoring", "Monitoring", "monitoring.read"),
    NavigationItem("/audit", "Audit", "audit.read"),
    NavigationItem("/accounts", "Accounts", "account.manage"),
    NavigationItem("/confirmations", "Confirm accounts", "account.confirm"),
)


def install_pages(app: FastAPI, rooms: Rooms) -> None:
    """Give people's application its pages."""
    install_site_pages(
        app, site=Site("CENTRAL", rooms.network), navigation=NAVIGATION, language=rooms.language
    )
    for routes in (
        _overview_routes,
        _study_routes,
        _study_forms,
        _site_routes,
        _network_routes,
        governance.routes,
        application.routes,
        portfolio.routes,
        forms.routes,
        onboarding.routes,
        public.routes,
    ):
        app.include_router(routes(rooms))
    app.include_router(accounts_pages)


def _overview_routes(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def overview(request: Request, user: Annotated[User, Depends(require("overview.read"))]) -> Response:
        """Show what waits for this person, and where everything stands."""
        with rooms.database.connect() as connection:
            studies = rooms.studies.studies(connection)
            steps = [
                (
                    study.study_id,
                    study.definition.title,
                    rooms.studies.next_steps(connection, study, user.name, user.roles),
                )
                for study in studies
            ]
            late = [
                (study, overdue_sites(rooms.studies.matrix(connection, study.study_id)))
                for study in studies
                if study.state not in FINAL_STATES
            ]
            statuses = rooms.monitoring.statuses(connection)
            running = [run for run in rooms.runs.runs(connection) if run["state"] == "running"]
        return page(
            request,
            "overview.html",
            tasks=study_tasks(steps) if is_permitted("central", user.roles, "study.transition") else [],
            late=[item for item in late if item[1]]
            if is_permitted("central", user.roles, "study.read")
            else [],
            studies=studies,
            alerts=[status for status in statuses if status.alerts],
            statuses=statuses,
            running=[run for run in running if run["parent"] is None],
        )

    return routes


def _study_routes(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/studies")
    def list_studies(request: Request, _user: Annotated[User, Depends(require("study.read"))]) -> Response:
        """List all studies."""
        return _portfolio(rooms, request)

    @routes.post("/studies")
    def create_study(
        request: Request,
        user: Annotated[User, Depends(require("study.create"))],
        definition: Annotated[str, Form(max_length=200_000)],
    ) -> Response:
        """Create a study from its JSON document; show it again with the reason when it is wrong."""
        try:
            document = json.loads(definition)
            if not isinstance(document, dict):
                raise ValueError("not an object")
            with rooms.database.begin() as connection:
                study = rooms.studies.create(
                    connection, document, user.name, actor_role(user, "study.create")
                )
            return RedirectResponse(f"/studies/{study.study_id}", status_code=303)
        except (ValueError, Defect) as error:
            failure = error.public_message if isinstance(error, Defect) else "This is not a JSON document."
        return _portfolio(rooms, request, failure, definition)

    @routes.get("/studies/{study_id}")
    def show_study(
        study_id: str, request: Request, user: Annotated[User, Depends(require("study.read"))]
    ) -> Response:
        """Show a study: definition, state with next steps, sites, runs, result."""
        return study_page(rooms, request, user, study_id)

    return routes


def _study_forms(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.post("/studies/{study_id}/steps")
    async def take_step(
        study_id: str, request: Request, user: Annotated[User, Depends(require("study.transition"))]
    ) -> Response:
        """Take a step with the artefacts of the form."""
        form = {key: str(value) for key, value in (await request.form()).items()}
        target = form.get("target", "")

        def act() -> None:
            try:
                with rooms.database.begin() as connection:
                    study = rooms.studies.study(connection, study_id)
                    row = STUDY_TABLE.find(study.state, target)
                    rooms.studies.transition(
                        connection,
                        study_id,
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

    @routes.post("/studies/{study_id}/requests")
    async def request_sites(
        study_id: str, request: Request, user: Annotated[User, Depends(require("study.request_sites"))]
    ) -> Response:
        """Ask the chosen sites."""
        chosen = [str(value) for value in (await request.form()).getlist("site")]

        def act() -> None:
            with rooms.database.begin() as connection:
                role = actor_role(user, "study.request_sites")
                rooms.studies.request_sites(connection, study_id, chosen, user.name, role)

        return await run_in_threadpool(then_show, rooms, request, user, study_id, act)

    @routes.post("/studies/{study_id}/start")
    def start_run(
        study_id: str,
        request: Request,
        user: Annotated[User, Depends(require("cohort.count"))],
        kind: Annotated[str, Form(max_length=20)],
        plan: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        """Start a run; of an analysis, the plan's hash."""

        def act() -> None:
            action = "cohort.count" if kind == "count" else "run.start"
            if not is_permitted("central", user.roles, action):
                raise Forbidden("Your roles do not allow this.")
            role = actor_role(user, action)
            with rooms.database.begin() as connection:
                if kind == "count":
                    rooms.cohorts.start_count(connection, study_id, user.name, role)
                elif kind == "analysis":
                    rooms.analysis_runs.start(connection, study_id, plan, user.name, role)
                elif kind in ("freeze", "measure", "training"):
                    rooms.analyses.start(connection, study_id, kind, user.name, role)  # type: ignore[arg-type]  # one of the three just named

        return then_show(rooms, request, user, study_id, act)

    return routes


def _site_routes(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    def show(request: Request, status_code: int = 200, **context: Any) -> Response:
        with rooms.database.connect() as connection:
            sites = rooms.sites.sites(connection)
        shown = {"issued": None, "failure": None, **context}
        return page(request, "sites.html", status_code=status_code, sites=sites, **shown)

    @routes.get("/sites")
    def list_sites(request: Request, _user: Annotated[User, Depends(require("site.read"))]) -> Response:
        """List the network's sites."""
        return show(request)

    @routes.post("/sites")
    def add_site(
        request: Request,
        user: Annotated[User, Depends(require("site.manage"))],
        code: Annotated[str, Form(max_length=16)],
        name: Annotated[str, Form(max_length=200)] = "",
        city: Annotated[str, Form(max_length=200)] = "",
    ) -> Response:
        """Invite a site."""
        try:
            with rooms.database.begin() as connection:
                role = actor_role(user, "site.manage")
                rooms.sites.add(connection, code.strip().upper(), name, city, user.name, role)
        except Defect as error:
            return show(request, 422, failure=error.public_message)
        return RedirectResponse("/sites", status_code=303)

    @routes.post("/sites/{code}/join-code")
    def issue_join_code(
        code: str, request: Request, user: Annotated[User, Depends(require("site.manage"))]
    ) -> Response:
        """Show a new join code, once."""
        try:
            with rooms.database.begin() as connection:
                role = actor_role(user, "site.manage")
                issued = rooms.sites.issue_join_code(connection, code, user.name, role)
        except Defect as error:
            return show(request, 422, failure=error.public_message)
        return show(request, issued=(code, issued.to_text()))

    return routes


def _network_routes(rooms: Rooms) -> APIRouter:
    routes = APIRouter(include_in_schema=False)

    @routes.get("/monitoring")
    def show_network(
        request: Request, _user: Annotated[User, Depends(require("monitoring.read"))]
    ) -> Response:
        """Show how each site's node is."""
        with rooms.database.connect() as connection:
            sites = {site.code: site for site in rooms.sites.sites(connection)}
            statuses = rooms.monitoring.statuses(connection)
            open_jobs = rooms.runs.open_jobs(connection)
        return page(request, "monitoring.html", sites=sites, statuses=statuses, open_jobs=open_jobs)

    @routes.get("/audit")
    def show_audit(
        request: Request,
        _user: Annotated[User, Depends(require("audit.read"))],
        asked: Annotated[AuditQuestion, Query()],
    ) -> Response:
        """Show the audit log in plain words, newest first, and whether its chain is whole."""
        with rooms.database.connect() as connection:
            entries = rooms.audit.entries(connection, AUDIT_PAGE, asked.before, **asked.wanted())
            verdict = rooms.audit.verify(connection)
        return page(request, "audit.html", entries=entries, verdict=verdict, **audit_words(asked, entries))

    return routes


def _portfolio(rooms: Rooms, request: Request, failure: str | None = None, draft: str = "") -> Response:
    with rooms.database.connect() as connection:
        rows = [
            portfolio_row(
                study,
                rooms.studies.tracks(connection, study.study_id),
                rooms.analyses.frozen(connection, study.study_id),
                rooms.amendments.amendments(connection, study.study_id),
            )
            for study in rooms.studies.studies(connection)
        ]
    status_code = 200 if failure is None else 422
    return page(
        request,
        "studies.html",
        status_code=status_code,
        rows=rows,
        kits=[(code, kit["title"]) for code, kit in load_kits().items()],
        failure=failure,
        draft=draft,
    )
