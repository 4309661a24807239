"""Frames and long binary values of archived objects (PS3.18 sections 10.4.1.1.5 and 10.4.1.1.6)."""

from __future__ import annotations

import io
from typing import Annotated

import pydicom
from fastapi import APIRouter, Path, Request
from starlette.responses import Response, StreamingResponse

from racoon.node.archive import _retrieve
from racoon.node.archive._ranges import partial_content
from racoon.node.archive._requests import (
    ROOT,
    Uid,
    Viewer,
    archive_of,
    ranges_of,
    record_read,
    rows_of,
)
from racoon.standards.dicomweb import media, multipart

router = APIRouter(prefix=ROOT, tags=["dicomweb"])

BULK_PATH = r"^[0-9A-Fa-f]{8}(/[1-9][0-9]{0,5}/[0-9A-Fa-f]{8}){0,16}$"
"""A tag, or the way to it through sequences: tag, number of the item from 1, tag."""


@router.get("/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", response_class=Response)
def read_frames(
    request: Request, study: Uid, series: Uid, instance: Uid, frames: str, user: Viewer
) -> Response:
    """Return frames: as stored where the client takes that, in HTJ2K where it asks for it, else uncompressed."""
    (row,) = rows_of(request, user, study, series, instance)
    numbers = _retrieve.frame_numbers(frames)
    record_read(request, user, [row])
    ranges = ranges_of(request)
    parts = _retrieve.frame_parts(archive_of(request).read_object(row), numbers, ranges)
    if (
        ranges
        and not ranges[0].is_multipart
        and ranges[0].media_type not in ("*/*", "")
        and len(numbers) == 1
    ):
        return Response(b"".join(parts[0].content), media_type=parts[0].content_type)
    boundary = multipart.new_boundary()
    media_type = parts[0].content_type.partition(";")[0]
    return StreamingResponse(
        multipart.write(parts, boundary), media_type=multipart.content_type(media_type, boundary)
    )


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag:path}", response_class=Response
)
def read_bulk_data(
    request: Request,
    study: Uid,
    series: Uid,
    instance: Uid,
    tag: Annotated[str, Path(pattern=BULK_PATH, max_length=300)],
    user: Viewer,
) -> Response:
    """Return a long binary value that the metadata name by address, also one inside sequences (WADO-RS)."""
    (row,) = rows_of(request, user, study, series, instance)
    record_read(request, user, [row])
    dataset = pydicom.dcmread(io.BytesIO(archive_of(request).read_object(row)))
    value = _retrieve.bulk_value(dataset, tag)
    ranges = ranges_of(request)
    if ranges and not ranges[0].is_multipart and ranges[0].media_type == media.OCTET_STREAM:
        tag_of_content = f"{row.sha256}-{tag.upper()}"
        return partial_content(request, io.BytesIO(value), len(value), media.OCTET_STREAM, tag_of_content)
    if ranges and not any(found.accepts(media.OCTET_STREAM) for found in ranges):
        raise media.NotAcceptable("Binary values are given as application/octet-stream.")
    boundary = multipart.new_boundary()
    body = multipart.write([multipart.Part(media.OCTET_STREAM, [value])], boundary)
    return StreamingResponse(body, media_type=multipart.content_type(media.OCTET_STREAM, boundary))
