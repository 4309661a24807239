"""Lines through vessels, and sections across them."""

from __future__ import annotations

import base64
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Body, Depends, Query, Request

from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.read_audit import record_image_read
from racoon.node.reading.http._rooms import (
    Uid,
    hidden_masks,
    layers_of,
    reading_of,
    require_sight,
)
from racoon.node.reading.sections import NoLine, Sections
from racoon.platform.auth import User, require
from racoon.science.geometry import Centreline

router = APIRouter(prefix="/api/reading/series/{series}")

Viewer = Annotated[User, Depends(require("image.read"))]
Triple = tuple[float, float, float]
Key = Annotated[str, Query(max_length=80, description="Key of a segment of the legend")]
PLACES = Query(pattern=r"^-?[0-9.]+(e-?[0-9]+)?(,-?[0-9.]+(e-?[0-9]+)?){2}$", max_length=80)


def _sections(request: Request, user: User, series: str, segment: str) -> Sections:
    view = reading_of(request).view(series)
    require_sight(request, user, view.imaging_study_uid)
    if segment and segment.partition(":")[0] in hidden_masks(request, user, view):
        raise SeriesNotFound("There is no such segmentation of this series.")
    record_image_read(request, user, series, view.pseudonym)
    return Sections(request.app.state.archive, layers_of(request))


def _described(line: Centreline) -> dict[str, Any]:
    return {
        "points_mm": line.points_mm.tolist(),
        "tangents": line.tangents.tolist(),
        "length_mm": line.length_mm,
    }


@router.get("/centreline")
def read_centreline(request: Request, series: Uid, user: Viewer, segment: Key) -> dict[str, Any]:
    """Return the line through the middle of a mask, a point each millimetre, with its directions."""
    return _described(_sections(request, user, series, segment).along(series, segment))


@router.post("/centreline")
def lay_centreline(
    request: Request,
    series: Uid,
    user: Viewer,
    points_mm: Annotated[list[Triple], Body(embed=True, min_length=2, max_length=200)],
) -> dict[str, Any]:
    """Lay a smooth line through places that a person marked, LPS in mm; nothing is stored."""
    return _described(_sections(request, user, series, "").through(points_mm))


@router.get("/section")
def read_section(
    request: Request,
    series: Uid,
    user: Viewer,
    *,
    middle: Annotated[str, PLACES],
    normal: Annotated[str, PLACES],
    reach: Annotated[float, Query(ge=1, le=100, description="Half the side of the square in mm")] = 30.0,
    segment: Key = "",
) -> dict[str, Any]:
    """Cut the volume at right angles to a direction.

    ``values`` are 32-bit floats in base64, rows of samples from the top left, not a number outside the volume.
    ``measured`` has the diameters of the mask there and their ends.
    """
    sections = _sections(request, user, series, segment)
    found = sections.cut(series, _triple(middle), _triple(normal), reach, segment)
    cut, measured = found.cut, found.measured
    return {
        "middle_mm": cut.centre_mm.tolist(),
        "across": cut.across.tolist(),
        "down": cut.down.tolist(),
        "step_mm": cut.step_mm,
        "samples": cut.values.shape[0],
        "values": base64.b64encode(cut.values.astype("<f4").tobytes()).decode(),
        "instance": found.place[0],
        "frame": found.place[1],
        "measured": None
        if measured is None
        else {
            "area_mm2": measured.area_mm2,
            "equivalent_mm": measured.equivalent_mm,
            "largest_mm": measured.largest_mm,
            "smallest_mm": measured.smallest_mm,
            "is_open": measured.is_open,
            "ends_mm": [*measured.largest_ends_mm, *measured.smallest_ends_mm],
        },
    }


def _triple(text: str) -> Triple:
    try:
        x, y, z = (float(part) for part in text.split(","))
    except ValueError:
        raise NoLine("A place is three numbers in millimetres.") from None
    if not np.isfinite([x, y, z]).all():
        raise NoLine("A place is three numbers in millimetres.")
    return x, y, z
