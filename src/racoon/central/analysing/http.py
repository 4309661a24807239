"""Routes of analyses: start one, look at it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, ConfigDict, Field

from racoon.central.access import actor_role
from racoon.central.analysing.service import AnalysisRuns
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.platform.database import Database

Starter = Annotated[User, Depends(require("run.start"))]
Reader = Annotated[User, Depends(require("result.read"))]


class NewAnalysis(BaseModel):
    """Which of the study's approved plans to run: its hash or name; empty where there is only one."""

    model_config = ConfigDict(extra="forbid")

    plan: Annotated[str, Field(max_length=200)] = ""


def routes(database: Database, analyses: AnalysisRuns) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["analyses"])

    @routes.post("/api/studies/{study_id}/analyses", status_code=201)
    def start_analysis(study_id: str, body: NewAnalysis, user: Starter) -> dict[str, str]:
        """Start an analysis that the study's sites have approved."""
        with database.begin() as connection:
            role = actor_role(user, "run.start")
            run_id = analyses.start(connection, study_id, body.plan, user.name, role)
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

    return routes


def describe(row: Mapping[str, Any], *, with_result: bool = True) -> dict[str, Any]:
    """Return the JSON form of an analysis."""
    document = {
        "run_id": row["run_id"],
        "study_id": row["study_id"],
        "name": row["plan"]["name"],
        "plan_hash": row["plan_hash"],
        "state": row["state"],
        "reason": row["reason"],
        "created_by": row["created_by"],
        "created_at": clock.to_text(row["created_at"]),
        "ended_at": clock.to_text(row["ended_at"]) if row["ended_at"] else None,
    }
    if with_result:
        document |= {"plan": row["plan"], "rounds": row["rounds"], "result": row["result"]}
    return document
