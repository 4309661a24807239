"""What is irregular about a series, as data: missing, uneven, tilted, repeated slices, several stacks."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request

from racoon.node.archive._requests import Searcher, Uid, access_of, archive_of
from racoon.node.archive.model import SeriesNotFound
from racoon.standards.dicom.folder_volume import describe_stack

router = APIRouter(prefix="/api/archive/series", tags=["archive"])


@router.get("/{series}/geometry")
def read_geometry(request: Request, series: Uid, user: Searcher) -> dict[str, Any]:
    """Return the grid of a series and every irregularity; the pixels are not decoded."""
    archive, access = archive_of(request), access_of(request)
    facts = archive.series_row(series).facts
    if access is not None and not access.may_see(user, facts.imaging_study_uid):
        raise SeriesNotFound("There is no such series in this archive.")
    return describe_stack(archive.arrange(series)) | {"series_uid": series}
