"""Routes of feasibility."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends

from racoon.central.cohorts.service import Cohorts
from racoon.platform.auth import User, require
from racoon.platform.database import Database


def routes(database: Database, cohorts: Cohorts) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["cohorts"])

    @routes.get("/api/studies/{study_id}/feasibility")
    def show_feasibility(
        study_id: str, _user: Annotated[User, Depends(require("study.read"))]
    ) -> dict[str, Any] | None:
        """Show the newest protected count of the study's cohort; null before the first."""
        with database.connect() as connection:
            return cohorts.newest(connection, study_id)

    return routes
