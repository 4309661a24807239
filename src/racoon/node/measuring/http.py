"""Routes of measured values: list, findings, export."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from racoon.node.archive.service import Archive
from racoon.node.measuring import service
from racoon.node.measuring.model import StoredValue
from racoon.platform.auth import User, require
from racoon.platform.http.gathered import GatheredResponse

router = APIRouter(prefix="/api/measurements", tags=["measuring"])

Reader = Annotated[User, Depends(require("measurement.read"))]
Sender = Annotated[User, Depends(require("derived.store"))]
SeriesId = Annotated[str, Query(min_length=1, max_length=64)]
Id = Annotated[str, Query(max_length=80)]


@router.get("")
def list_measurements(
    request: Request,
    user: Reader,
    *,
    study: Id = "",
    dataset: Id = "",
    biomarker: Id = "",
    series: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Annotated[int, Query(ge=1, le=5000)] = 500,
) -> dict[str, Any]:
    """List values with provenance and the page that shows their pixels; page on with ``next_after``."""
    hidden = _hidden_from(request, user)
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
        "measurements": [
            service.describe(value) for _, value in rows if _is_readable(request, value, hidden)
        ],
        "next_after": rows[-1][0] if len(rows) == limit else None,
    }


@router.get("/findings")
def list_findings(request: Request, user: Reader, study: Id = "", dataset: Id = "") -> list[dict[str, str]]:
    """List the series that could not be measured, with the reason in plain words."""
    hidden = _hidden_from(request, user)
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
        if item.series_uid not in hidden
    ]


@router.get("/export.csv")
def export_csv(request: Request, user: Reader, study: Id = "", dataset: Id = "") -> Response:
    """Export all values of a study as CSV, for use inside the hospital; streamed."""
    return _download(
        service.csv_pieces(_stream(request, user, study, dataset)), "text/csv; charset=utf-8", "csv"
    )


@router.get("/export.parquet")
def export_parquet(request: Request, user: Reader, study: Id = "", dataset: Id = "") -> Response:
    """Export all values of a study as Apache Parquet, for use inside the hospital; streamed."""
    pieces = service.parquet_pieces(_stream(request, user, study, dataset))
    return _download(pieces, "application/vnd.apache.parquet", "parquet")


@router.get("/report.dcm")
def download_report(request: Request, user: Reader, series: SeriesId, study: Id = "") -> Response:
    """Give the values of one series as a DICOM structured report (TID 1500); nothing is stored."""
    _require_sight(request, user, series)
    return Response(
        service.report_of_series(request.app.state.database, request.app.state.archive, study, series),
        media_type="application/dicom",
        headers={"Content-Disposition": 'attachment; filename="measurements.dcm"'},
    )


@router.post("/reports", status_code=201)
def store_report(request: Request, user: Sender, series: SeriesId, study: Id = "") -> dict[str, str]:
    """Keep the values of one series as a DICOM structured report beside their images; audited."""
    state = request.app.state
    _require_sight(request, user, series)
    outcome = service.store_report(state.database, state.archive, state.own_objects, user, study, series)
    return {
        "sop_instance_uid": outcome.sop_instance_uid,
        "series_uid": outcome.series_uid,
        "imaging_study_uid": outcome.imaging_study_uid,
    }


def _stream(request: Request, user: User, study: str, dataset: str) -> Iterator[StoredValue]:
    hidden = _hidden_from(request, user)
    return service.stream_values(
        request.app.state.database,
        lambda value: _is_readable(request, value, hidden),
        study_id=study,
        dataset_hash=dataset,
    )


def _download(pieces: Iterator[str] | Iterator[bytes], media_type: str, ending: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="measurements.{ending}"'}
    return GatheredResponse(pieces, media_type=media_type, headers=headers)


def _hidden_from(request: Request, user: User) -> frozenset[str]:
    """Return the series whose values a blinded reader must not see."""
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        return archive.series_without_values(connection, user.name)


def _require_sight(request: Request, user: User, series_uid: str) -> None:
    """Refuse a blinded reader the values of a series, with the words for what does not exist."""
    if series_uid in _hidden_from(request, user):
        raise service.ValueMissing("There is no such value; open the list again.")


def _is_readable(request: Request, value: StoredValue, hidden: frozenset[str]) -> bool:
    """A subject whose consent was withdrawn disappears from every list at once, and from a blinded reader's too."""
    return value.series_uid not in hidden and bool(request.app.state.archive.is_readable(value.pseudonym))
