"""Pictures of archived images: rendered frames and thumbnails (PS3.18 sections 10.4.1.1.3 and 10.4.1.1.4)."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import pydicom
from fastapi import APIRouter, Depends, Query, Request
from pydicom.dataset import Dataset
from starlette.responses import Response, StreamingResponse

from racoon.node.archive import _retrieve
from racoon.node.archive._requests import (
    ROOT,
    Uid,
    Viewer,
    archive_of,
    ranges_of,
    record_read,
    rows_of,
)
from racoon.node.archive.model import InstanceRow
from racoon.node.archive.thumbnails import Thumbnails
from racoon.platform.auth import User
from racoon.standards.dicom.rendering import Window, encode_picture, render_frame
from racoon.standards.dicomweb import media, multipart
from racoon.standards.dicomweb.query import BadQuery

router = APIRouter(prefix=ROOT, tags=["dicomweb"])

THUMBNAIL_PIXELS = 128

PICTURE_CACHE = "private, max-age=3600"

OFFERED = (media.JPEG, media.PNG)


def _picture(
    request: Request,
    user: User,
    row: InstanceRow,
    frame: int,
    window: str,
    *,
    size: int | None,
    offered: Sequence[str],
) -> Response:
    media_type = media.choose(ranges_of(request), offered)
    record_read(request, user, [row])
    archive = archive_of(request)
    if not 1 <= frame <= row.frame_count:
        raise _retrieve.NoSuchFrame("The object has no frame of this number.")

    def make() -> bytes:
        dataset = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
        return _encode(dataset, frame - 1, Window.parse(window) if window else None, media_type, size)

    kept: Thumbnails | None = getattr(request.app.state, "thumbnails", None)
    if kept is not None and size == THUMBNAIL_PIXELS and not window and media_type == media.JPEG:
        content = kept.get(archive, row, frame, make)
    else:
        content = make()
    return Response(
        content, media_type=media_type, headers={"Cache-Control": PICTURE_CACHE, "Vary": "Accept"}
    )


@dataclass(frozen=True)
class PictureOptions:
    """Query parameters of a rendered picture (PS3.18 section 8.3.5)."""

    window: Annotated[str, Query(max_length=80, description="centre,width,function")] = ""
    viewport: Annotated[str, Query(max_length=40, description="columns,rows")] = ""


Options = Annotated[PictureOptions, Depends()]


def _viewport_size(viewport: str) -> int | None:
    if not viewport:
        return None
    pieces = viewport.split(",")
    if len(pieces) != 2 or not all(
        piece.isascii() and piece.isdigit() and 0 < int(piece) < 20_000 for piece in pieces
    ):
        raise BadQuery("A viewport is written as columns,rows.")
    return min(int(pieces[0]), int(pieces[1]))


@router.get("/studies/{study}/series/{series}/instances/{instance}/rendered", response_class=Response)
def render_instance(
    request: Request,
    study: Uid,
    series: Uid,
    instance: Uid,
    user: Viewer,
    options: Options,
) -> Response:
    """Return the first frame of an instance as a picture (WADO-RS)."""
    (row,) = rows_of(request, user, study, series, instance)
    size = _viewport_size(options.viewport)
    return _picture(request, user, row, 1, options.window, size=size, offered=OFFERED)


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frame}/rendered", response_class=Response
)
def render_one_frame(
    request: Request,
    study: Uid,
    series: Uid,
    instance: Uid,
    frame: int,
    user: Viewer,
    options: Options,
) -> Response:
    """Return a frame as a picture (WADO-RS)."""
    (row,) = rows_of(request, user, study, series, instance)
    size = _viewport_size(options.viewport)
    return _picture(request, user, row, frame, options.window, size=size, offered=OFFERED)


def _thumbnail(
    request: Request, user: User, rows: Sequence[InstanceRow], frame: int | None = None
) -> Response:
    """Picture of the middle of what is named: the middle instance, its middle frame."""
    row = rows[len(rows) // 2]
    number = frame or (row.frame_count + 1) // 2
    return _picture(request, user, row, number, "", size=THUMBNAIL_PIXELS, offered=OFFERED)


@router.get("/studies/{study}/thumbnail", response_class=Response)
def read_study_thumbnail(request: Request, study: Uid, user: Viewer) -> Response:
    """Return a small picture of an imaging study (WADO-RS)."""
    rows = rows_of(request, user, study)
    images = [row for row in rows if row.rows]
    return _thumbnail(request, user, images or rows)


@router.get("/studies/{study}/series/{series}/thumbnail", response_class=Response)
def read_series_thumbnail(request: Request, study: Uid, series: Uid, user: Viewer) -> Response:
    """Return a small picture of a series (WADO-RS)."""
    return _thumbnail(request, user, rows_of(request, user, study, series))


@router.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frame}/thumbnail", response_class=Response
)
def read_frame_thumbnail(
    request: Request, study: Uid, series: Uid, instance: Uid, frame: int, user: Viewer
) -> Response:
    """Return a small picture of one frame (WADO-RS)."""
    rows = rows_of(request, user, study, series, instance)
    return _picture(request, user, rows[0], frame, "", size=THUMBNAIL_PIXELS, offered=OFFERED)


@router.get("/studies/{study}/series/{series}/instances/{instance}/thumbnail", response_class=Response)
def read_instance_thumbnail(
    request: Request, study: Uid, series: Uid, instance: Uid, user: Viewer
) -> Response:
    """Return a small picture of an instance (WADO-RS)."""
    return _thumbnail(request, user, rows_of(request, user, study, series, instance), frame=1)


def _encode(dataset: Dataset, index: int, window: Window | None, media_type: str, size: int | None) -> bytes:
    return encode_picture(
        render_frame(dataset, index, window), "png" if media_type == media.PNG else "jpeg", size=size
    )


def _pictures(request: Request, user: User, rows: Sequence[InstanceRow], options: PictureOptions) -> Response:
    """Every frame of some instances as parts of one body, one object in memory at a time."""
    images = [row for row in rows if row.rows]
    if not images:
        raise _retrieve.NoSuchFrame("There is no image in it.")
    media_type = media.choose(ranges_of(request), OFFERED)
    window = Window.parse(options.window) if options.window else None
    size = _viewport_size(options.viewport)
    archive = archive_of(request)
    record_read(request, user, images)

    def parts() -> Iterator[multipart.Part]:
        for row in images:
            dataset = pydicom.dcmread(io.BytesIO(archive.read_object(row)))
            for index in range(row.frame_count):
                headers = {
                    "Content-Location": f"/dicom-web/studies/{row.imaging_study_uid}/series/{row.series_uid}"
                    f"/instances/{row.sop_instance_uid}/frames/{index + 1}/rendered"
                }
                content = _encode(dataset, index, window, media_type, size)
                yield multipart.Part(media_type, [content], headers)

    boundary = multipart.new_boundary()
    return StreamingResponse(
        multipart.write(parts(), boundary), media_type=multipart.content_type(media_type, boundary)
    )


@router.get("/studies/{study}/rendered", response_class=Response)
def render_study(request: Request, study: Uid, user: Viewer, options: Options) -> Response:
    """Return every frame of an imaging study as a picture (WADO-RS)."""
    return _pictures(request, user, rows_of(request, user, study), options)


@router.get("/studies/{study}/series/{series}/rendered", response_class=Response)
def render_series(request: Request, study: Uid, series: Uid, user: Viewer, options: Options) -> Response:
    """Return every frame of a series as a picture (WADO-RS)."""
    return _pictures(request, user, rows_of(request, user, study, series), options)
