"""The viewer page at its stable address, and the masks of a slice.

Every number of a result leads to ``/reading/series/{series}?instance={sop}&frame=1&segment={seg}:{number}``.
Pixels come from the archive's DICOMweb routes.
"""

from __future__ import annotations

import json
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response

from racoon.node.archive.read_audit import record_image_read
from racoon.node.archive.service import Archive
from racoon.node.reading.service import Reading
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/reading", tags=["reading"])

Viewer = Annotated[User, Depends(require("image.read"))]
Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]
Text = Annotated[str, Query(max_length=64)]


def _reading(request: Request) -> Reading:
    state = request.app.state
    archive: Archive = state.archive
    found: Reading | None = getattr(state, "reading", None)
    if found is None:
        found = state.reading = Reading(archive)
    return found


@router.get("/series/{series}", include_in_schema=False)
def show_series(
    request: Request,
    series: Uid,
    user: Viewer,
    instance: Text = "",
    frame: Annotated[int, Query(ge=1)] = 1,
    segmentation: Text = "",
    segment: Annotated[str, Query(max_length=80)] = "",
) -> Response:
    """Show a series, at a slice and with a segment when the address names them.

    The segment is ``segmentation=<SOP Instance UID>&segment=<number>``, or both in one with a colon.
    """
    reading = _reading(request)
    segment = f"{segmentation}:{segment}" if segmentation and segment else segment
    view = reading.view(series)
    record_image_read(request, user, series, view.pseudonym)
    start = view.index_of(instance, frame)
    if start is None and segment and view.has_overlays:
        start = reading.largest_slice(series, segment)
    if start is None:
        start = len(view.planes) // 2
    known = {entry.key for entry in view.segments}
    script = view.to_dict() | {"start": start, "segment": segment if segment in known else ""}
    return render(
        request,
        "node/reading/series.html",
        view=view,
        start=start,
        # "<" must not appear inside a script element, whatever a description holds.
        script=json.dumps(script, separators=(",", ":")).replace("<", "\\u003c"),
        is_instance_unknown=bool(instance) and view.index_of(instance, frame) is None,
        is_segment_unknown=bool(segment) and segment not in known,
    )


@router.get("/series/{series}/overlays/{index}")
def read_overlays(request: Request, series: Uid, index: Annotated[int, Path(ge=0)], user: Viewer) -> Response:
    """Return the masks on one slice by segment: start, length, … over its pixels in reading order."""
    reading = _reading(request)
    view = reading.view(series)
    record_image_read(request, user, series, view.pseudonym)
    found = reading.overlays(series).get(index, {})
    return Response(
        json.dumps(found, separators=(",", ":")),
        media_type="application/json",
        headers={"Cache-Control": "private, max-age=300"},
    )
