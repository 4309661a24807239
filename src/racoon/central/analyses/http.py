"""Routes that start counts and analyses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from racoon.central.access import actor_role
from racoon.central.analyses.service import Analyses
from racoon.central.cohorts.service import Cohorts
from racoon.domain.permission import is_permitted
from racoon.platform.audit import AuditLog
from racoon.platform.auth import Forbidden, User, require
from racoon.platform.database import Database
from racoon.protocol.exchange import EngineMembership, RenewalRequest


class NewRun(BaseModel):
    """What to start; ``sites`` asks exactly these, which may still say no; ``flow`` counts each step too."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["count", "freeze", "measure", "training"]
    sites: Annotated[list[str], Field(max_length=100)] = []
    flow: bool = False


class StartedRun(BaseModel):
    """The run that was started."""

    run_id: str
    kind: str


SignSite = Callable[[str, str], EngineMembership]
"""Signs an enrolled site's request for the training engine: site code and PEM request in."""


def node_routes(database: Database, audit: AuditLog, sign: SignSite) -> APIRouter:
    """Make the routes of the nodes' listener; ``request.state.site`` is the authenticated site."""
    routes = APIRouter(tags=["training"])

    @routes.post("/node/v1/engine/certificate")
    def join_engine(body: RenewalRequest, request: Request) -> EngineMembership:
        """Sign the site's own key for the training engine, so that it can take its seat there."""
        site = request.state.site.code
        membership = sign(site, body.request_pem)
        with database.begin() as connection:
            audit.append(
                connection, actor=site, actor_role="node", action="engine.join", target=f"site/{site}"
            )
        return membership

    return routes


def routes(database: Database, cohorts: Cohorts, analyses: Analyses) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["runs"])

    @routes.post("/api/studies/{study_id}/runs", status_code=201)
    def start_run(
        study_id: str, body: NewRun, user: Annotated[User, Depends(require("cohort.count"))]
    ) -> StartedRun:
        """Start a protected count, freeze datasets, measure, or compare trainings."""
        action = "cohort.count" if body.kind == "count" else "run.start"
        if not is_permitted("central", user.roles, action):
            raise Forbidden("Your roles do not allow this.", details={"action": action})
        role = actor_role(user, action)
        with database.begin() as connection:
            if body.kind == "count":
                run_id = cohorts.start_count(connection, study_id, user.name, role, with_flow=body.flow)
            else:
                run_id = analyses.start(connection, study_id, body.kind, user.name, role, body.sites)
        return StartedRun(run_id=run_id, kind=body.kind)

    return routes
