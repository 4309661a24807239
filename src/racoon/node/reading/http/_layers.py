"""What can be laid over a series in colour, and its values on a slice."""

from __future__ import annotations

import struct
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Request
from starlette.responses import Response

from racoon.node.archive.read_audit import record_image_read
from racoon.node.reading.http._rooms import Uid, layers_of, reading_of, require_sight
from racoon.platform.auth import User, require
from racoon.web.words import unit_text

router = APIRouter()

Viewer = Annotated[User, Depends(require("image.read"))]


@router.get("/api/reading/series/{series}/layers")
def list_layers(request: Request, series: Uid, user: Viewer) -> dict[str, Any]:
    """List PET series and parametric maps in the frame of reference of a series, and what it would lie over."""
    require_sight(request, user, reading_of(request).view(series).imaging_study_uid)
    layers = layers_of(request)
    return {
        "layers": [layer.to_dict() | {"unit_text": unit_text(layer.unit)} for layer in layers.over(series)],
        "below": layers.below(series),
    }


@router.get("/reading/series/{series}/layers/{layer}/volume")
def read_layer_volume(request: Request, series: Uid, layer: Uid, user: Viewer) -> Response:
    """Return the part of a layer that lies over a series, for planes through it, all little endian.

    Sizes as three 32-bit integers (slices, rows, columns) and four empty bytes; three rows of four 64-bit floats that
    turn a place (LPS in mm, 1) into an index of that order; then the values as 32-bit floats.
    """
    view = reading_of(request).view(series)
    require_sight(request, user, view.imaging_study_uid)
    record_image_read(request, user, layer, view.pseudonym)
    part = layers_of(request).box(series, layer)
    inverse = np.linalg.inv(part.affine)[:3]
    head = struct.pack("<III4x12d", *part.shape, *inverse.ravel())
    return Response(
        head + np.ascontiguousarray(part.voxels, dtype="<f4").tobytes(),
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
    )


@router.get("/reading/series/{series}/layers/{layer}/{index}")
def read_layer(
    request: Request, series: Uid, layer: Uid, index: Annotated[int, Path(ge=0)], user: Viewer
) -> Response:
    """Return a layer's values on a slice: rows and columns as two 32-bit integers, then 32-bit floats, little endian.

    The cells fill the slice edge to edge; what lies outside the layer is not a number.
    """
    view = reading_of(request).view(series)
    require_sight(request, user, view.imaging_study_uid)
    record_image_read(request, user, layer, view.pseudonym)
    values = layers_of(request).sample(series, layer, index)
    head = struct.pack("<II", *values.shape)
    return Response(
        head + values.astype("<f4").tobytes(),
        media_type="application/octet-stream",
        headers={"Cache-Control": "no-store"},
    )
