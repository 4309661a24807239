"""What is irregular about a series, and what is known of it: class, quality rules, dose of its imaging study."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from racoon.node.archive import _browse
from racoon.node.archive._requests import Searcher, Uid, access_of, archive_of
from racoon.node.archive.model import SeriesNotFound, SeriesRow
from racoon.platform.auth import User
from racoon.standards.dicom.folder_volume import describe_stack
from racoon.standards.dicom.quality import RULES

router = APIRouter(prefix="/api/archive/series", tags=["archive"])


@router.get("/{series}/geometry")
def read_geometry(request: Request, series: Uid, user: Searcher) -> dict[str, Any]:
    """Return the grid of a series and every irregularity; the pixels are not decoded."""
    _seen(request, series, user)
    return describe_stack(archive_of(request).arrange(series)) | {"series_uid": series}


@router.get("/{series}/assessment")
def read_assessment(request: Request, series: Uid, user: Searcher) -> dict[str, Any]:
    """Return what a series is, the quality rules it breaks in plain words, and the dose of its imaging study.

    ``assessment`` is null until it is worked out, a few seconds after the last instance.
    """
    row = _seen(request, series, user)
    with archive_of(request).database.connect() as connection:
        found, dose = _browse.assessment(connection, row.position)
    broken = set(found.rules) if found else set()
    return {
        "series_uid": series,
        "assessment": None if found is None else asdict(found),
        "quality": [
            {"rule": rule.code, "severity": rule.severity, "text": rule.text, "text_de": rule.text_de}
            for rule in RULES
            if rule.code in broken
        ],
        "dose": None if dose is None else asdict(dose),
    }


def _seen(request: Request, series: str, user: User) -> SeriesRow:
    access = access_of(request)
    row = archive_of(request).series_row(series, seen_by=user.name)
    if access is not None and not access.may_see(user, row.facts.imaging_study_uid):
        raise SeriesNotFound("There is no such series in this archive.")
    return row
