"""Routes of measured values: list, findings, export."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from racoon.node.measuring import service
from racoon.node.measuring.model import StoredValue
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/measurements", tags=["measuring"])

Reader = Annotated[User, Depends(require("measurement.read"))]
Id = Annotated[str, Query(max_length=80)]


@router.get("")
def list_measurements(
    request: Request,
    user: Reader,  # noqa: ARG001
    *,
    study: Id = "",
    dataset: Id = "",
    biomarker: Id = "",
    series: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> dict[str, Any]:
    """List values with provenance and the page that shows their pixels; page on with ``next_after``."""
    with request.app.state.database.connect() as connection:
        rows = service.load_values(
            connection,
            study_id=study,
            dataset_hash=dataset,
            biomarker=biomarker,
            series_uids=(series,) if series else (),
            after=after,
            limit=limit,
        )
    return {
        "measurements": [service.describe(value) for _, value in rows if _is_readable(request, value)],
        "next_after": rows[-1][0] if len(rows) == limit else None,
    }


@router.get("/findings")
def list_findings(request: Request, user: Reader, study: Id = "", dataset: Id = "") -> list[dict[str, str]]:  # noqa: ARG001
    """List the series that could not be measured, with the reason in plain words."""
    with request.app.state.database.connect() as connection:
        found = service.load_findings(connection, study_id=study, dataset_hash=dataset)
    return [
        {
            "study_id": item.study_id,
            "dataset_hash": item.dataset_hash,
            "series_uid": item.series_uid,
            "code": item.code,
            "message": item.message,
            "link": f"/reading/series/{item.series_uid}",
        }
        for item in found
    ]


@router.get("/export.csv")
def export_csv(request: Request, user: Reader, study: Id = "", dataset: Id = "") -> Response:  # noqa: ARG001
    """Export all values of a study as CSV, for use inside the hospital."""
    with request.app.state.database.connect() as connection:
        rows = service.load_values(connection, study_id=study, dataset_hash=dataset, limit=None)
    content = service.write_csv([value for _, value in rows if _is_readable(request, value)])
    return Response(
        content,
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": 'attachment; filename="measurements.csv"'},
    )


def _is_readable(request: Request, value: StoredValue) -> bool:
    """A subject whose consent was withdrawn disappears from every list at once."""
    return bool(request.app.state.archive.is_readable(value.pseudonym))
