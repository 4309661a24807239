"""Routes of results: JSON, CSV and the self-contained report."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.responses import HTMLResponse, Response

from racoon.central.results.report import render_report
from racoon.central.results.service import Results
from racoon.platform.auth import User, require
from racoon.platform.database import Database


def routes(database: Database, results: Results) -> APIRouter:
    """Make the routes of people's listener."""
    routes = APIRouter(tags=["results"])

    @routes.get("/api/studies/{study_id}/results")
    def show_results(
        study_id: str, _user: Annotated[User, Depends(require("result.read"))]
    ) -> dict[str, Any]:
        """Show the study's result: pooled statistics, scores, who took part, what was held back and why."""
        with database.connect() as connection:
            return results.result(connection, study_id)

    @routes.get("/api/studies/{study_id}/results.csv", response_class=Response)
    def download_csv(study_id: str, _user: Annotated[User, Depends(require("result.read"))]) -> Response:
        """Download the result as CSV."""
        with database.connect() as connection:
            content = results.csv(connection, study_id)
        return Response(
            content,
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{study_id}.csv"'},
        )

    @routes.get("/api/studies/{study_id}/agreement.csv", response_class=Response)
    def download_agreement(
        study_id: str, _user: Annotated[User, Depends(require("result.read"))]
    ) -> Response:
        """Download manual against automatic per site as CSV."""
        with database.connect() as connection:
            content = results.agreement_csv(connection, study_id)
        return Response(
            content,
            media_type="text/csv; charset=utf-8",
            headers={"content-disposition": f'attachment; filename="{study_id}-agreement.csv"'},
        )

    @routes.get("/api/studies/{study_id}/report.html", response_class=HTMLResponse)
    def show_report(
        study_id: str,
        _user: Annotated[User, Depends(require("result.read"))],
        lang: Literal["de", "en"] = "en",
    ) -> HTMLResponse:
        """Show the report: one file without scripts that needs nothing beside it."""
        with database.connect() as connection:
            result = results.result(connection, study_id)
            definition = results.definition(connection, study_id)
        return HTMLResponse(
            render_report(result, definition, lang),
            # A report opened on its own must not fetch or run anything either.
            headers={
                "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
            },
        )

    return routes
