"""Routes of monitoring."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from racoon.central.monitoring.model import SiteStatus
from racoon.central.monitoring.service import Monitoring
from racoon.central.orchestration.service import Mail, Runs
from racoon.central.sites.service import Sites
from racoon.platform.auth import User, require
from racoon.platform.database import Database


class SiteCondition(BaseModel):
    """How one site's node is."""

    site: str
    name: str
    condition: str
    alerts: list[str]
    last_seen: datetime | None
    certificate_expires_at: datetime | None
    open_jobs: int
    unread_messages: int
    heartbeat: dict[str, Any] | None


class NetworkCondition(BaseModel):
    """How the network is."""

    sites: list[SiteCondition]
    alerts: int


def routes(database: Database, sites: Sites, mail: Mail, runs: Runs, monitoring: Monitoring) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["monitoring"])

    @routes.get("/api/monitoring")
    def show_network(_user: Annotated[User, Depends(require("monitoring.read"))]) -> NetworkCondition:
        """Show how each site's node is."""
        with database.connect() as connection:
            known = {site.code: site for site in sites.sites(connection)}
            open_jobs, unread = runs.open_jobs(connection), mail.unread(connection)
            statuses = monitoring.statuses(connection)

        def show(status: SiteStatus) -> SiteCondition:
            site = known[status.site]
            return SiteCondition(
                site=status.site,
                name=site.name,
                condition=status.condition.value,
                alerts=list(status.alerts),
                last_seen=status.last_seen,
                certificate_expires_at=site.certificate_expires_at,
                open_jobs=open_jobs.get(status.site, 0),
                unread_messages=unread.get(status.site, 0),
                heartbeat=status.heartbeat,
            )

        return NetworkCondition(
            sites=[show(status) for status in statuses],
            alerts=sum(len(status.alerts) for status in statuses),
        )

    @routes.get("/api/monitoring/{site}/history")
    def show_history(
        site: str, _user: Annotated[User, Depends(require("monitoring.read"))]
    ) -> list[dict[str, Any]]:
        """List kept heartbeats of a site, newest first."""
        with database.connect() as connection:
            return monitoring.history(connection, site)

    return routes
