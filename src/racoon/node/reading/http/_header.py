"""The header of an image, element by element, as the archive has it: de-identified."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Annotated, Any

import pydicom
from fastapi import APIRouter, Depends, Request
from pydicom.dataset import Dataset

from racoon.node.archive.read_audit import record_image_read
from racoon.node.archive.service import Archive
from racoon.node.reading.http._rooms import Uid, require_sight
from racoon.platform.auth import User, require

router = APIRouter()

Viewer = Annotated[User, Depends(require("image.read"))]

LONGEST = 200
MOST = 5000
"""Lines: an enhanced object of thousands of frames says the same of each."""


@router.get("/api/reading/instances/{instance}/header")
def read_header(request: Request, instance: Uid, user: Viewer) -> dict[str, Any]:
    """Return depth, tag, name and value of each element, without pixels."""
    archive: Archive = request.app.state.archive
    row = archive.instance(instance)
    require_sight(request, user, row.imaging_study_uid)
    record_image_read(request, user, row.series_uid, str(row.pseudonym))
    with archive.open_object(row) as stream:
        dataset = pydicom.dcmread(stream, stop_before_pixels=True)
    return {"elements": list(itertools.islice(_lines(dataset, 0), MOST))}


def _lines(dataset: Dataset, depth: int) -> Iterator[tuple[int, str, str, str]]:
    for element in dataset:
        tag = f"({element.tag.group:04X},{element.tag.element:04X})"
        if element.VR == "SQ":
            items = element.value or ()
            yield depth, tag, element.name, f"[{len(items)}]"
            for item in items:
                yield from _lines(item, depth + 1)
            continue
        value = f"{len(element.value)} B" if isinstance(element.value, bytes) else str(element.value)
        yield depth, tag, element.name, value if len(value) <= LONGEST else value[: LONGEST - 1] + "…"
