"""Routes of the archive: DICOMweb below ``/dicom-web`` (PS3.18 chapter 10: QIDO-RS, WADO-RS), and its
browser.

They expect ``app.state.archive``, and ``database`` and ``audit`` as ``install_accounts`` leaves them.
Searching and metadata need the action ``archive.read``, pixels and whole objects ``image.read``; image reads
are audited.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

import pydicom
from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import Response, StreamingResponse

from racoon.node.archive import _pages, _retrieve
from racoon.node.archive._ranges import partial_content
from racoon.node.archive._search import Level, Scope, search
from racoon.node.archive.model import InstanceRow, SeriesNotFound
from racoon.node.archive.read_audit import record_image_read
from racoon.node.archive.service import Archive
from racoon.platform.auth import User, require
from racoon.standards.dicom.rendering import Window, encode_picture, render_frame
from racoon.standards.dicomweb import media, multipart
from racoon.standards.dicomweb.query import BadQuery, parse_query

ROOT = "/dicom-web"

router = APIRouter()
router.include_router(_pages.router)

dicomweb = APIRouter(prefix=ROOT, tags=["dicomweb"])

SEARCHER = [Depends(require("archive.read"))]
Viewer = Annotated[User, Depends(require("image.read"))]
Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]

THUMBNAIL_PIXELS = 128
FUZZY_WARNING = (
    '299 racoon: "The fuzzymatching parameter is not supported. Only literal matching has been performed."'
)
"""PS3.18 section 8.3.4.2; names here are pseudonyms, which sound like nothing."""

PICTURE_CACHE = "private, max-age=3600"


def _archive(request: Request) -> Archive:
    found: Archive = request.app.state.archive
    return found


def _base_url(request: Request) -> str:
    return str(request.base_url).rstrip("/") + ROOT


def _ranges(request: Request) -> tuple[media.MediaRange, ...]:
    return media.parse_accept(request.query_params.get("accept") or request.headers.get("accept", ""))


def _require_json(request: Request) -> None:
    media.choose(
        tuple(found for found in _ranges(request) if not found.is_multipart),
        (media.DICOM_JSON, "application/json"),
    )


# Searching


def _search(request: Request, level: Level, study: str = "", series: str = "") -> Response:
    query = parse_query(
        (name, value) for name, value in request.query_params.multi_items() if name != "accept"
    )
    _require_json(request)
    archive = _archive(request)
    with archive.database.connect() as connection:
        documents = search(
            connection, level, Scope(study, series), query, archive.is_readable, _base_url(request)
        )
    headers = {"Warning": FUZZY_WARNING} if query.is_fuzzy else {}
    if not documents:
        return Response(status_code=204, headers=headers)
    body = json.dumps(documents, separators=(",", ":"), ensure_ascii=False)
    return Response(body, media_type=media.DICOM_JSON, headers=headers)


@dicomweb.get(
    "/studies",
    response_class=Response,
    responses={204: {"description": "Nothing matches"}},
    dependencies=SEARCHER,
)
def search_studies(request: Request) -> Response:
    """Search imaging studies (QIDO-RS)."""
    return _search(request, Level.STUDY)


@dicomweb.get("/series", response_class=Response, dependencies=SEARCHER)
def search_series(request: Request) -> Response:
    """Search series of all imaging studies (QIDO-RS)."""
    return _search(request, Level.SERIES)


@dicomweb.get("/instances", response_class=Response, dependencies=SEARCHER)
def search_instances(request: Request) -> Response:
    """Search instances of all imaging studies (QIDO-RS)."""
    return _search(request, Level.INSTANCE)


@dicomweb.get("/studies/{study}/series", response_class=Response, dependencies=SEARCHER)
def search_series_of_study(request: Request, study: Uid) -> Response:
    """Search the series of an imaging study (QIDO-RS)."""
    return _search(request, Level.SERIES, study)


@dicomweb.get("/studies/{study}/instances", response_class=Response, dependencies=SEARCHER)
def search_instances_of_study(request: Request, study: Uid) -> Response:
    """Search the instances of an imaging study (QIDO-RS)."""
    return _search(request, Level.INSTANCE, study)


@dicomweb.get("/studies/{study}/series/{series}/instances", response_class=Response, dependencies=SEARCHER)
def search_instances_of_series(request: Request, study: Uid, series: Uid) -> Response:
    """Search the instances of a series (QIDO-RS)."""
    return _search(request, Level.INSTANCE, study, series)


# Metadata


def _rows(request: Request, study: str, series: str = "", instance: str = "") -> list[InstanceRow]:
    """Instances named by a path; a path that does not fit together names nothing."""
    rows = _archive(request).instances_of_study(study, series=series, instance=instance)
    if not rows:
        raise SeriesNotFound("There is no such object in this archive.")
    return rows


def _metadata(request: Request, rows: Sequence[InstanceRow]) -> Response:
    _require_json(request)
    pieces = _retrieve.metadata_of(_archive(request), rows, _base_url(request))
    return StreamingResponse(pieces, media_type=media.DICOM_JSON)


@dicomweb.get("/studies/{study}/metadata", response_class=Response, dependencies=SEARCHER)
def read_study_metadata(request: Request, study: Uid) -> Response:
    """Return the metadata of all instances of an imaging study (WADO-RS)."""
    return _metadata(request, _rows(request, study))


@dicomweb.get("/studies/{study}/series/{series}/metadata", response_class=Response, dependencies=SEARCHER)
def read_series_metadata(request: Request, study: Uid, series: Uid) -> Response:
    """Return the metadata of all instances of a series (WADO-RS)."""
    return _metadata(request, _rows(request, study, series))


@dicomweb.get(
    "/studies/{study}/series/{series}/instances/{instance}/metadata",
    response_class=Response,
    dependencies=SEARCHER,
)
def read_instance_metadata(request: Request, study: Uid, series: Uid, instance: Uid) -> Response:
    """Return the metadata of an instance (WADO-RS)."""
    return _metadata(request, _rows(request, study, series, instance))


# Objects


def _record_read(request: Request, user: User, rows: Sequence[InstanceRow]) -> None:
    for series_uid, pseudonym in sorted({(row.series_uid, str(row.pseudonym)) for row in rows}):
        record_image_read(request, user, series_uid, pseudonym)


def _objects(request: Request, user: User, rows: Sequence[InstanceRow]) -> Response:
    archive = _archive(request)
    ranges = [found for found in _ranges(request) if found.accepts(media.DICOM)]
    if _ranges(request) and not ranges:
        raise media.NotAcceptable("Whole objects are given as application/dicom.")
    wanted = ranges[0] if ranges else media.MediaRange(media.DICOM, is_multipart=True)
    _record_read(request, user, rows)
    if not wanted.is_multipart and wanted.media_type == media.DICOM and len(rows) == 1:
        row = rows[0]
        if wanted.transfer_syntax in ("", "*", row.transfer_syntax_uid):
            kind = f"{media.DICOM}; transfer-syntax={row.transfer_syntax_uid}"
            return partial_content(request, archive.open_object(row), row.size_bytes, kind, row.sha256)
        content, syntax = _retrieve.object_content(archive, row, wanted.transfer_syntax)
        return StreamingResponse(content, media_type=f"{media.DICOM}; transfer-syntax={syntax}")
    if wanted.transfer_syntax not in ("", "*"):
        _retrieve.object_content(archive, rows[0], wanted.transfer_syntax)

    def parts() -> Iterator[multipart.Part]:
        for row in rows:
            content, syntax = _retrieve.object_content(archive, row, wanted.transfer_syntax)
            yield multipart.Part(f"{media.DICOM}; transfer-syntax={syntax}", content)

    boundary = multipart.new_boundary()
    return StreamingResponse(
        multipart.write(parts(), boundary), media_type=multipart.content_type(media.DICOM, boundary)
    )


@dicomweb.get("/studies/{study}", response_class=Response)
def read_study(request: Request, study: Uid, user: Viewer) -> Response:
    """Return all objects of an imaging study (WADO-RS)."""
    return _objects(request, user, _rows(request, study))


@dicomweb.get("/studies/{study}/series/{series}", response_class=Response)
def read_series(request: Request, study: Uid, series: Uid, user: Viewer) -> Response:
    """Return all objects of a series (WADO-RS)."""
    return _objects(request, user, _rows(request, study, series))


@dicomweb.get("/studies/{study}/series/{series}/instances/{instance}", response_class=Response)
def read_instance(request: Request, study: Uid, series: Uid, instance: Uid, user: Viewer) -> Response:
    """Return one object (WADO-RS)."""
    return _objects(request, user, _rows(request, study, series, instance))


# Frames and bulk data


@dicomweb.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frames}", response_class=Response
)
def read_frames(
    request: Request, study: Uid, series: Uid, instance: Uid, frames: str, user: Viewer
) -> Response:
    """Return frames, as stored where the client takes that, else uncompressed (WADO-RS)."""
    (row,) = _rows(request, study, series, instance)
    _record_read(request, user, [row])
    ranges = _ranges(request)
    parts = _retrieve.frame_parts(_archive(request).read_object(row), _retrieve.frame_numbers(frames), ranges)
    if ranges and not ranges[0].is_multipart and ranges[0].media_type not in ("*/*", "") and len(parts) == 1:
        return Response(b"".join(parts[0].content), media_type=parts[0].content_type)
    boundary = multipart.new_boundary()
    media_type = parts[0].content_type.partition(";")[0]
    return StreamingResponse(
        multipart.write(parts, boundary), media_type=multipart.content_type(media_type, boundary)
    )


@dicomweb.get("/studies/{study}/series/{series}/instances/{instance}/bulkdata/{tag}", response_class=Response)
def read_bulk_data(
    request: Request,
    study: Uid,
    series: Uid,
    instance: Uid,
    tag: Annotated[str, Path(pattern="^[0-9A-Fa-f]{8}$")],
    user: Viewer,
) -> Response:
    """Return a long binary value that the metadata name by address (WADO-RS)."""
    (row,) = _rows(request, study, series, instance)
    _record_read(request, user, [row])
    dataset = pydicom.dcmread(io.BytesIO(_archive(request).read_object(row)))
    value = dataset[int(tag, 16)].value if int(tag, 16) in dataset else None
    if not isinstance(value, bytes):
        raise SeriesNotFound("The object has no binary value of this name.")
    ranges = _ranges(request)
    if ranges and not ranges[0].is_multipart and ranges[0].media_type == media.OCTET_STREAM:
        tag_of_content = f"{row.sha256}-{tag.upper()}"
        return partial_content(request, io.BytesIO(value), len(value), media.OCTET_STREAM, tag_of_content)
    boundary = multipart.new_boundary()
    body = multipart.write([multipart.Part(media.OCTET_STREAM, [value])], boundary)
    return StreamingResponse(body, media_type=multipart.content_type(media.OCTET_STREAM, boundary))


# Pictures


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
    media_type = media.choose(_ranges(request), offered)
    _record_read(request, user, [row])
    dataset = pydicom.dcmread(io.BytesIO(_archive(request).read_object(row)))
    if not 1 <= frame <= row.frame_count:
        raise _retrieve.NoSuchFrame("The object has no frame of this number.")
    pixels = render_frame(dataset, frame - 1, Window.parse(window) if window else None)
    content = encode_picture(pixels, "png" if media_type == media.PNG else "jpeg", size=size)
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


@dicomweb.get("/studies/{study}/series/{series}/instances/{instance}/rendered", response_class=Response)
def render_instance(
    request: Request,
    study: Uid,
    series: Uid,
    instance: Uid,
    user: Viewer,
    options: Options,
) -> Response:
    """Return the first frame of an instance as a picture (WADO-RS)."""
    (row,) = _rows(request, study, series, instance)
    size = _viewport_size(options.viewport)
    return _picture(request, user, row, 1, options.window, size=size, offered=(media.JPEG, media.PNG))


@dicomweb.get(
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
    (row,) = _rows(request, study, series, instance)
    size = _viewport_size(options.viewport)
    return _picture(request, user, row, frame, options.window, size=size, offered=(media.JPEG, media.PNG))


def _thumbnail(
    request: Request, user: User, rows: Sequence[InstanceRow], frame: int | None = None
) -> Response:
    """Picture of the middle of what is named: the middle instance, its middle frame."""
    row = rows[len(rows) // 2]
    number = frame or (row.frame_count + 1) // 2
    return _picture(request, user, row, number, "", size=THUMBNAIL_PIXELS, offered=(media.JPEG, media.PNG))


@dicomweb.get("/studies/{study}/thumbnail", response_class=Response)
def read_study_thumbnail(request: Request, study: Uid, user: Viewer) -> Response:
    """Return a small picture of an imaging study (WADO-RS)."""
    rows = _rows(request, study)
    images = [row for row in rows if row.rows]
    return _thumbnail(request, user, images or rows)


@dicomweb.get("/studies/{study}/series/{series}/thumbnail", response_class=Response)
def read_series_thumbnail(request: Request, study: Uid, series: Uid, user: Viewer) -> Response:
    """Return a small picture of a series (WADO-RS)."""
    return _thumbnail(request, user, _rows(request, study, series))


@dicomweb.get(
    "/studies/{study}/series/{series}/instances/{instance}/frames/{frame}/thumbnail", response_class=Response
)
def read_frame_thumbnail(
    request: Request, study: Uid, series: Uid, instance: Uid, frame: int, user: Viewer
) -> Response:
    """Return a small picture of one frame (WADO-RS)."""
    rows = _rows(request, study, series, instance)
    return _picture(request, user, rows[0], frame, "", size=THUMBNAIL_PIXELS, offered=(media.JPEG, media.PNG))


@dicomweb.get("/studies/{study}/series/{series}/instances/{instance}/thumbnail", response_class=Response)
def read_instance_thumbnail(
    request: Request, study: Uid, series: Uid, instance: Uid, user: Viewer
) -> Response:
    """Return a small picture of an instance (WADO-RS)."""
    return _thumbnail(request, user, _rows(request, study, series, instance), frame=1)


router.include_router(dicomweb)
