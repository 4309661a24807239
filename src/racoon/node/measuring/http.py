"""Routes of measured values: list, findings, export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.responses import StreamingResponse

from racoon.node.measuring import service
from racoon.node.measuring.model import StoredValue
from racoon.platform.auth import User, require

router = APIRouter(prefix="/api/measurements", tags=["measuring"])

Reader = Annotated[User, Depends(require("measurement.read"))]
Sender = Annotated[User, Depends(require("derived.store"))]
SeriesId = Annotated[str, Query(min_length=1, max_length=64)]
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
    """Export all values of a study as CSV, for use inside the hospital; streamed."""
    return _download(service.csv_pieces(_stream(request, study, dataset)), "text/csv; charset=utf-8", "csv")


@router.get("/export.parquet")
def export_parquet(request: Request, user: Reader, study: Id = "", dataset: Id = "") -> Response:  # noqa: ARG001
    """Export all values of a study as Apache Parquet, for use inside the hospital; streamed."""
    pieces = service.parquet_pieces(_stream(request, study, dataset))
    return _download(pieces, "application/vnd.apache.parquet", "parquet")


@router.get("/report.dcm")
def download_report(request: Request, user: Reader, series: SeriesId, study: Id = "") -> Response:  # noqa: ARG001
    """Give the values of one series as a DICOM structured report (TID 1500); nothing is stored."""
    return Response(
        service.report_of_series(request.app.state.database, request.app.state.archive, study, series),
        media_type="application/dicom",
        headers={"Content-Disposition": 'attachment; filename="measurements.dcm"'},
    )


@router.post("/reports", status_code=201)
def store_report(request: Request, user: Sender, series: SeriesId, study: Id = "") -> dict[str, str]:
    """Keep the values of one series as a DICOM structured report beside their images; audited."""
    state = request.app.state
    outcome = service.store_report(state.database, state.archive, state.own_objects, user, study, series)
    return {
        "sop_instance_uid": outcome.sop_instance_uid,
        "series_uid": outcome.series_uid,
        "imaging_study_uid": outcome.imaging_study_uid,
    }


def _stream(request: Request, study: str, dataset: str) -> Iterator[StoredValue]:
    return service.stream_values(
        request.app.state.database,
        lambda value: _is_readable(request, value),
        study_id=study,
        dataset_hash=dataset,
    )


def _download(pieces: Iterator[str] | Iterator[bytes], media_type: str, ending: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="measurements.{ending}"'}
    return StreamingResponse(pieces, media_type=media_type, headers=headers)


def _is_readable(request: Request, value: StoredValue) -> bool:
    """A subject whose consent was withdrawn disappears from every list at once."""
    return bool(request.app.state.archive.is_readable(value.pseudonym))
