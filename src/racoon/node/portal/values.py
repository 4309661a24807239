"""Pages of measured values: the list with its distributions, and one value with its picture and provenance."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal

import sqlalchemy as sa
from fastapi import APIRouter, Depends, Query, Request
from markupsafe import Markup
from starlette.responses import RedirectResponse, Response

from racoon.node.approvals.model import StudyAtSite
from racoon.node.approvals.service import Approvals
from racoon.node.archive.model import SeriesFilter
from racoon.node.archive.read_audit import record_image_read
from racoon.node.archive.service import Archive
from racoon.node.measuring import service as measuring
from racoon.node.measuring.model import StoredValue
from racoon.platform.auth import User, require
from racoon.science.biomarkers import CATALOGUE
from racoon.web.distributions import distribution_figure
from racoon.web.pages import render
from racoon.web.translation import language_of
from racoon.web.words import unit_text, words_of

router = APIRouter(include_in_schema=False)

ValueReader = Annotated[User, Depends(require("measurement.read"))]
ImageReader = Annotated[User, Depends(require("image.read"))]

ReportSender = Annotated[User, Depends(require("derived.store"))]

VALUES_SHOWN = 2000
SERIES_AT_ONCE = 500

PUNCHED = ("punch_volume", "punch_mean", "punch_sd")

SortKey = Literal["subject", "measurement", "value", "valid", "how", "scanner"]


@router.get("/values")
def show_values(
    request: Request,
    user: ValueReader,
    *,
    study: Annotated[str, Query(max_length=80)] = "",
    measurement: Annotated[str, Query(max_length=300)] = "",
    sort: SortKey | None = None,
    down: bool = False,
) -> Response:
    """Show measured values; each opens its pixels."""
    language = language_of(request)
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        studies, chosen, loaded = choose_study(request, connection, user, study)
        hidden = archive.series_without_values(connection, user.name)
        checks = measuring.checks(connection, chosen) if chosen else []
    readable = [(number, value) for number, value in loaded if archive.is_readable(value.pseudonym)]
    scanners = scanners_of(archive, {value.series_uid for _, value in readable})
    rows = [
        measuring.describe(value) | {"number": number, "scanner": scanners.get(value.series_uid, "")}
        for number, value in readable
    ]
    titles = {row["measurement"]: title_of_row(row, language) for row in rows}
    shown = [row for row in rows if not measurement or row["measurement"] == measurement]
    if sort is not None:
        shown = _sorted(shown, sort, titles, down=down)
    return render(
        request,
        "node/portal/values.html",
        studies=studies,
        chosen=chosen,
        titles=titles,
        measurement=measurement,
        rows=shown,
        total=len(shown),
        sort=sort or "",
        down=down,
        figure=Markup(_figure(shown, titles[measurement], language)) if measurement in titles else "",  # noqa: S704 - escaped there
        open_checks=sum(check.state == "open" and check.series_uid not in hidden for check in checks),
    )


@router.get("/values/{number:int}")
def show_value(
    number: int,
    request: Request,
    user: ValueReader,
    report: Annotated[str, Query(max_length=64, pattern=r"^[0-9.]*$")] = "",
) -> Response:
    """Show one value: picture, definition, parameters, provenance, and what speaks against it."""
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        value = _readable_value(connection, archive, user, number)
        checks = [
            check
            for check in measuring.checks(connection, value.study_id, value.dataset_hash)
            if check.concerns(value)
        ]
        patch = measuring.load_patch(connection, value)
    row = measuring.describe(value)
    return render(
        request,
        "node/portal/value.html",
        number=number,
        row=row,
        title=title_of_row(row, language_of(request)),
        definition=CATALOGUE.get(f"{value.biomarker}@{value.version}"),
        scanner=scanners_of(archive, {value.series_uid}).get(value.series_uid, ""),
        has_picture=value.key_slice is not None,
        checks=checks,
        patch=patch,
        stored_report=report,
    )


def _drawn(
    number: int, request: Request, user: User, draw: Callable[[StoredValue, Archive], bytes]
) -> Response:
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        value = _readable_value(connection, archive, user, number)
    record_image_read(request, user, value.series_uid, value.pseudonym)
    return Response(
        draw(value, archive), media_type="image/png", headers={"Cache-Control": "private, max-age=300"}
    )


@router.get("/values/{number:int}/picture.png")
def draw_value(number: int, request: Request, user: ImageReader) -> Response:
    """Draw the slice of a value with its mask and the voxels that count."""
    return _drawn(number, request, user, measuring.draw)


@router.get("/values/{number:int}/plane.png")
def draw_plane_of_value(number: int, request: Request, user: ImageReader) -> Response:
    """Draw the plane in which a value was taken, such as the section of a vessel."""
    return _drawn(number, request, user, measuring.draw_plane)


@router.get("/values/{number:int}/{part}.nii.gz")
def download_patch(
    number: int, part: Literal["patch", "mask"], request: Request, user: ImageReader
) -> Response:
    """Give the piece that a value was computed from, or the voxels of the shape in it, as NIfTI."""
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        value = _readable_value(connection, archive, user, number)
        patch = measuring.load_patch(connection, value)
    if patch is None:
        raise measuring.ValueMissing("This value was not punched out; there is no file of its piece.")
    record_image_read(request, user, value.series_uid, value.pseudonym)
    return Response(
        patch.patch if part == "patch" else patch.mask,
        media_type="application/gzip",
        headers={"Content-Disposition": f'attachment; filename="value-{number}-{part}.nii.gz"'},
    )


@router.post("/values/{number:int}/report")
def store_report(number: int, request: Request, user: ReportSender) -> Response:
    """Keep the values of this value's series as a DICOM report beside their images."""
    archive: Archive = request.app.state.archive
    with request.app.state.database.connect() as connection:
        value = _readable_value(connection, archive, user, number)
    outcome = measuring.store_report(
        request.app.state.database,
        archive,
        request.app.state.own_objects,
        user,
        value.study_id,
        value.series_uid,
    )
    return RedirectResponse(f"/values/{number}?report={outcome.sop_instance_uid}", status_code=303)


def choose_study(
    request: Request, connection: sa.Connection, user: User, study: str
) -> tuple[list[StudyAtSite], str, list[tuple[int, StoredValue]]]:
    """Take the wanted study, or without a wish the newest that has values; with its values that a person may see."""
    approvals: Approvals = request.app.state.approvals
    studies = list(approvals.studies(connection))
    archive: Archive = request.app.state.archive
    hidden = archive.series_without_values(connection, user.name)
    chosen, loaded = study, []
    for candidate in [study] if study else [item.study_id for item in studies]:
        chosen = candidate
        loaded = measuring.load_values(connection, study_id=candidate, limit=VALUES_SHOWN)
        if loaded:
            break
    return studies, chosen, [row for row in loaded if row[1].series_uid not in hidden]


def title_of_row(row: Mapping[str, Any], language: str) -> str:
    """Name of a measurement for people: the definition's title, the structure, and who drew it."""
    title = str(row["title_de"] if language == "de" else row["title"])
    if row["biomarker"].startswith("punch_"):
        words, name = words_of(language), row["biomarker"]
        own = words(name) if name in PUNCHED else f"{words('punch_feature')} {name.removeprefix('punch_')}"
        return f"{own}: {row['parameters']['slot']}" if row["parameters"].get("slot") else own
    if row["label"]:
        title = f"{title}: {words_of(language)(row['label']['meaning'])}"
    drawn = row["parameters"].get("drawn")
    return f"{title} ({words_of(language)(drawn)})" if drawn else title


def _readable_value(connection: sa.Connection, archive: Archive, user: User, number: int) -> StoredValue:
    value = measuring.load_value(connection, number)
    is_hidden = value.series_uid in archive.series_without_values(connection, user.name)
    if is_hidden or not archive.is_readable(value.pseudonym):
        raise measuring.ValueMissing("There is no such value; open the list again.")
    return value


def scanners_of(archive: Archive, series_uids: set[str]) -> dict[str, str]:
    """Manufacturer and model of each series."""
    wanted = sorted(series_uids)
    found = {}
    for start in range(0, len(wanted), SERIES_AT_ONCE):
        batch = tuple(wanted[start : start + SERIES_AT_ONCE])
        for row in archive.series(SeriesFilter(series_uids=batch)):
            found[row.facts.series_uid] = f"{row.facts.manufacturer} {row.facts.model}".strip()
    return found


def _sorted(
    rows: Sequence[dict[str, Any]], sort: SortKey, titles: Mapping[str, str], *, down: bool
) -> list[dict[str, Any]]:
    """Sort rows; those without a value come last, whichever way."""

    def key(row: dict[str, Any]) -> Any:
        return {
            "subject": row["pseudonym"],
            "measurement": titles[row["measurement"]],
            "value": row["value"],
            "valid": row["valid"],
            "how": row["automation"] or "",
            "scanner": row["scanner"],
        }[sort]

    present = [row for row in rows if key(row) is not None]
    absent = [row for row in rows if key(row) is None]
    return sorted(present, key=key, reverse=down) + absent


def _figure(rows: Sequence[Mapping[str, Any]], title: str, language: str) -> str:
    """Small multiples of the valid values by scanner."""
    groups: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        if row["valid"] and row["value"] is not None:
            groups[row["scanner"] or "–"].append(row["value"])
    unit = unit_text(rows[0]["unit"]) if rows else ""
    return distribution_figure(title, dict(sorted(groups.items())), unit, language)
