"""Routes of sites: the registry and enrolment for people's listener, renewal for nodes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict, Field

from racoon.central.access import actor_role
from racoon.central.sites.model import Site
from racoon.central.sites.service import Sites
from racoon.errors import Refused
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.protocol.exchange import Certificate, EnrolmentAnswer, EnrolmentRequest, RenewalRequest


class NewSite(BaseModel):
    """A site to invite."""

    model_config = ConfigDict(extra="forbid")

    code: Annotated[str, Field(max_length=16)]
    name: Annotated[str, Field(max_length=200)] = ""
    city: Annotated[str, Field(max_length=200)] = ""


class SiteView(BaseModel):
    """A site as people see it."""

    code: str
    name: str
    city: str
    state: str
    version: str | None
    enrolled_at: datetime | None
    certificate_expires_at: datetime | None
    join_code_expires_at: datetime | None


class IssuedJoinCode(BaseModel):
    """A join code; shown once, never again."""

    site: str
    join_code: str
    expires_at: datetime


class Suspension(BaseModel):
    """Why a site is shut out."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(min_length=3, max_length=200)]


def view(site: Site) -> SiteView:
    """Show a site without its keys."""
    fields = {name: getattr(site, name) for name in SiteView.model_fields if name != "state"}
    return SiteView(state=site.state.value, **fields)


def people_routes(database: Database, sites: Sites) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["sites"])

    @routes.get("/api/sites")
    def list_sites(_user: Annotated[User, Depends(require("site.read"))]) -> list[SiteView]:
        """List all sites of the network."""
        with database.connect() as connection:
            return [view(site) for site in sites.sites(connection)]

    @routes.post("/api/sites", status_code=201)
    def add_site(body: NewSite, user: Annotated[User, Depends(require("site.manage"))]) -> SiteView:
        """Invite a site; issue its join code next."""
        with database.begin() as connection:
            return view(
                sites.add(
                    connection, body.code, body.name, body.city, user.name, actor_role(user, "site.manage")
                )
            )

    @routes.get("/api/sites/{code}")
    def show_site(code: str, _user: Annotated[User, Depends(require("site.read"))]) -> SiteView:
        """Show one site."""
        with database.connect() as connection:
            return view(sites.site(connection, code))

    @routes.post("/api/sites/{code}/join-code", status_code=201)
    def issue_join_code(code: str, user: Annotated[User, Depends(require("site.manage"))]) -> IssuedJoinCode:
        """Make a one-time join code for a site; an older one is void."""
        with database.begin() as connection:
            issued = sites.issue_join_code(connection, code, user.name, actor_role(user, "site.manage"))
            expires_at = sites.site(connection, code).join_code_expires_at
        assert expires_at is not None
        return IssuedJoinCode(site=code, join_code=issued.to_text(), expires_at=expires_at)

    @routes.post("/api/sites/{code}/suspension")
    def suspend_site(
        code: str, body: Suspension, user: Annotated[User, Depends(require("site.manage"))]
    ) -> SiteView:
        """Shut a site out at once: its certificates are void."""
        with database.begin() as connection:
            return view(
                sites.suspend(connection, code, user.name, actor_role(user, "site.manage"), body.reason)
            )

    @routes.delete("/api/sites/{code}/suspension")
    def resume_site(code: str, user: Annotated[User, Depends(require("site.manage"))]) -> SiteView:
        """Let a suspended site join again with a new join code."""
        with database.begin() as connection:
            return view(sites.resume(connection, code, user.name, actor_role(user, "site.manage")))

    @routes.post("/api/enrolment")
    def enrol(body: EnrolmentRequest) -> EnrolmentAnswer:
        """Join the network with a join code; authenticated by the code's secret, which itself never
        travels.
        """
        try:
            with database.begin() as connection:
                return sites.enrol(connection, body)
        except Refused as refusal:
            with database.begin() as connection:
                sites.record_refused_enrolment(connection, body.site, refusal.error_code)
            raise

    return routes


def node_routes(database: Database, sites: Sites) -> APIRouter:
    """Make the routes of the nodes' listener; ``request.state.site`` is the authenticated site."""
    routes = APIRouter(tags=["sites"])

    @routes.post("/node/v1/certificate")
    def renew(body: RenewalRequest, request: Request) -> Certificate:
        """Issue the next certificate before the present one expires."""
        site: Any = request.state.site
        with database.begin() as connection:
            return sites.renew(connection, site.code, body.request_pem)

    return routes
