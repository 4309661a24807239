"""Routes of feasibility."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request

from racoon.central.cohorts.flow import flow_in_words, flow_to_dict
from racoon.central.cohorts.service import Cohorts
from racoon.platform.auth import User, require
from racoon.platform.database import Database
from racoon.web.translation import language_of


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

    @routes.get("/api/studies/{study_id}/flow")
    def show_flow(
        study_id: str,
        request: Request,
        _user: Annotated[User, Depends(require("study.read"))],
        lang: Annotated[Literal["de", "en"] | None, Query()] = None,
    ) -> dict[str, Any]:
        """Show the flow diagram of the newest count, in words too; no steps where none was asked for."""
        with database.connect() as connection:
            newest = cohorts.newest(connection, study_id)
            drawn = cohorts.flow(connection, newest["run_id"]) if newest else []
        return {
            "run_id": newest["run_id"] if newest else None,
            "cohort_hash": newest["cohort_hash"] if newest else "",
            "steps": flow_to_dict(drawn),
            "words": flow_in_words(drawn, lang or language_of(request)),
        }

    return routes
