"""The rows behind an analysis, at the site that has them: points that open cases, and the table for a notebook."""

from __future__ import annotations

import csv
import io
from typing import Annotated, Any, ClassVar

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from starlette.responses import Response

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.dataset import DatasetManifest
from racoon.errors import Refused
from racoon.node.analysing.model import DerivedTable, NotMeasured, table_columns
from racoon.node.analysing.service import derive_table, load_subjects
from racoon.node.cohorts import service as cohorts
from racoon.node.curation import service as curation
from racoon.platform.auth import User, require
from racoon.web.pages import render
from racoon.web.points import Point, points_figure
from racoon.web.translation import language_of
from racoon.web.words import unit_text

router = APIRouter()

ValueReader = Annotated[User, Depends(require("measurement.read"))]

MOST_POINTS = 1000
"""Points of a figure; beyond them nobody finds one, and the page grows slow."""


class NoSuchPlan(Refused):
    """The study has no such plan, or no frozen dataset, at this site."""

    code: ClassVar[str] = "analysing.no_such_plan"
    status: ClassVar[int] = 404


@router.get("/analyses/{study_id}/{plan}", include_in_schema=False)
def show_points(study_id: str, plan: str, request: Request, user: ValueReader) -> Response:
    """Show each number of this site's part of an analysis as points; each opens the case behind it."""
    found, manifest = _plan_and_dataset(request, study_id, plan)
    problem, table = "", None
    try:
        table = _rows(request, found, manifest)
    except NotMeasured as refusal:
        problem = refusal.public_message
    _record(request, user, "analysis.rows_shown", study_id, found)
    return render(
        request,
        "node/portal/points.html",
        study_id=study_id,
        plan=found,
        dataset_hash=manifest.hash,
        problem=problem,
        subjects=len(table.subjects) if table else 0,
        figures=_figures(found, manifest, table, language_of(request)) if table else [],
        table_path=f"/api/studies/{study_id}/analyses/{found.hash}/table.csv",
    )


@router.get("/api/studies/{study_id}/analyses/{plan}/table.csv", tags=["analyses"], response_class=Response)
def download_table(study_id: str, plan: str, request: Request, user: ValueReader) -> Response:
    """Download the rows of the frozen dataset with the plan's variables, for a notebook at this site."""
    found, manifest = _plan_and_dataset(request, study_id, plan)
    table = _rows(request, found, manifest)
    _record(request, user, "analysis.table_read", study_id, found)
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\n")
    columns = table_columns(found, table)
    writer.writerow(["subject", *columns])
    for subject, *cells in zip(table.subjects, *columns.values(), strict=True):
        writer.writerow([subject, *("" if cell is None else cell for cell in cells)])
    name = f"{study_id}-{found.hash[:12]}-{manifest.hash[:12]}.csv"
    headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
    return Response(stream.getvalue(), media_type="text/csv", headers=headers)


def _plan_and_dataset(request: Request, study_id: str, plan: str) -> tuple[AnalysisPlan, DatasetManifest]:
    state = request.app.state
    with state.database.connect() as connection:
        study = next(
            (item for item in state.approvals.studies(connection) if item.study_id == study_id), None
        )
        plans = study.definition.analyses if study else ()
        found = next(
            (item for item in plans if item.name == plan or (len(plan) >= 12 and item.hash.startswith(plan))),
            None,
        )
        if study is None or found is None or study.dataset_hash is None:
            raise NoSuchPlan("The study has no such plan at this site.")
        return found, _usable(connection, request, study_id, study.dataset_hash)


def _usable(connection: sa.Connection, request: Request, study_id: str, dataset_hash: str) -> DatasetManifest:
    manifest = curation.load(connection, study_id, dataset_hash)
    days = cohorts.days_of_series(connection, [entry.series_uid for entry in manifest.series])
    usable: DatasetManifest = request.app.state.consent.usable_part(connection, manifest, days)
    return usable


def _rows(request: Request, plan: AnalysisPlan, manifest: DatasetManifest) -> DerivedTable:
    state = request.app.state
    with state.database.connect() as connection:
        table = load_subjects(connection, plan, manifest, state.archive.is_readable)
    return derive_table(plan, table)


def _figures(
    plan: AnalysisPlan, manifest: DatasetManifest, table: DerivedTable, language: str
) -> list[dict[str, Any]]:
    """Draw one row of points per numeric variable."""

    def write(value: float) -> str:
        return f"{value:.4g}".replace(".", "," if language == "de" else ".")

    series: dict[str, str] = {}
    for entry in manifest.series:
        series.setdefault(entry.pseudonym, entry.series_uid)
    columns = table_columns(plan, table)
    found = []
    for variable in plan.variables:
        if variable.kind != "number":
            continue
        points = [
            Point(float(value), f"/reading/series/{series[subject]}", f"{subject}: {write(value)}")
            for subject, value in zip(table.subjects, columns[variable.name], strict=True)
            if isinstance(value, float) and subject in series
        ]
        if drawing := points_figure(variable.name, points[:MOST_POINTS], unit_text(variable.unit), write):
            found.append({"name": variable.name, "drawing": Markup(drawing), "n": len(points)})  # noqa: S704 - escaped there
    return found


def _record(request: Request, user: User, action: str, study_id: str, plan: AnalysisPlan) -> None:
    state = request.app.state
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target=f"study/{study_id}",
            details={"plan_hash": plan.hash},
        )
