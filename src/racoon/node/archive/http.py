"""Routes of the archive: DICOMweb below ``/dicom-web`` (PS3.18 chapter 10: QIDO-RS, WADO-RS), and its
browser.

They expect ``app.state.archive``, and ``database`` and ``audit`` as ``install_accounts`` leaves them.
Searching and metadata need the action ``archive.read``, pixels and whole objects ``image.read``; image reads
are audited.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from racoon.node.archive import (
    _deletion_pages,
    _deletion_routes,
    _derived_routes,
    _frames,
    _geometry_routes,
    _grant_pages,
    _grant_routes,
    _pages,
    _pictures,
    _retrieve,
)
from racoon.node.archive._documents import Level
from racoon.node.archive._ranges import partial_content
from racoon.node.archive._requests import (
    ROOT,
    Searcher,
    SearchVisitor,
    Uid,
    Viewer,
    access_of,
    archive_of,
    base_url_of,
    ranges_of,
    record_read,
    require_json,
    rows_of,
)
from racoon.node.archive._search import COUNTED_RESULTS, Scope, search
from racoon.node.archive.model import InstanceRow
from racoon.platform.auth import User, Visitor
from racoon.platform.http.direct import PiecesResponse
from racoon.platform.http.gathered import GatheredResponse
from racoon.standards.dicomweb import media, multipart
from racoon.standards.dicomweb.query import parse_query

dicomweb = APIRouter(prefix=ROOT, tags=["dicomweb"])

FUZZY_WARNING = (
    '299 racoon: "The fuzzymatching parameter is not supported. Only literal matching has been performed."'
)
"""PS3.18 section 8.3.4.2; names here are pseudonyms, which sound like nothing."""


# Searching


def _search(visitor: Visitor, level: Level, study: str = "", series: str = "") -> Response:
    request = visitor.request
    archive, access = archive_of(request), access_of(request)
    with archive.database.connect() as connection:
        user = visitor.permitted(connection)
        query = parse_query(
            (name, value) for name, value in request.query_params.multi_items() if name != "accept"
        )
        require_json(request)
        page = search(
            connection,
            level,
            Scope(study, series),
            query,
            archive.readable_among,
            base_url_of(request),
            hidden=archive.hidden_from(connection, user.name),
            restriction=access.restriction(user, connection) if access else None,
        )
    warnings = [FUZZY_WARNING] if query.is_fuzzy else []
    if page.more:
        count = f"more than {COUNTED_RESULTS}" if page.more > COUNTED_RESULTS else str(page.more)
        warnings.append(f'299 racoon: "There are {count} additional results that can be requested"')
    headers = {"Warning": ", ".join(warnings)} if warnings else {}
    if not page.lines:
        return Response(status_code=204, headers=headers)
    return Response(f"[{','.join(page.lines)}]", media_type=media.DICOM_JSON, headers=headers)


@dicomweb.get(
    "/studies",
    response_class=Response,
    responses={204: {"description": "Nothing matches"}},
)
def search_studies(visitor: SearchVisitor) -> Response:
    """Search imaging studies (QIDO-RS)."""
    return _search(visitor, Level.STUDY)


@dicomweb.get("/series", response_class=Response)
def search_series(visitor: SearchVisitor) -> Response:
    """Search series of all imaging studies (QIDO-RS)."""
    return _search(visitor, Level.SERIES)


@dicomweb.get("/instances", response_class=Response)
def search_instances(visitor: SearchVisitor) -> Response:
    """Search instances of all imaging studies (QIDO-RS)."""
    return _search(visitor, Level.INSTANCE)


@dicomweb.get("/studies/{study}/series", response_class=Response)
def search_series_of_study(study: Uid, visitor: SearchVisitor) -> Response:
    """Search the series of an imaging study (QIDO-RS)."""
    return _search(visitor, Level.SERIES, study)


@dicomweb.get("/studies/{study}/instances", response_class=Response)
def search_instances_of_study(study: Uid, visitor: SearchVisitor) -> Response:
    """Search the instances of an imaging study (QIDO-RS)."""
    return _search(visitor, Level.INSTANCE, study)


@dicomweb.get("/studies/{study}/series/{series}/instances", response_class=Response)
def search_instances_of_series(study: Uid, series: Uid, visitor: SearchVisitor) -> Response:
    """Search the instances of a series (QIDO-RS)."""
    return _search(visitor, Level.INSTANCE, study, series)


# Metadata


def _metadata(request: Request, rows: Sequence[InstanceRow]) -> Response:
    require_json(request)
    pieces = _retrieve.metadata_of(archive_of(request), rows, base_url_of(request))
    return GatheredResponse(pieces, media_type=media.DICOM_JSON)


@dicomweb.get("/studies/{study}/metadata", response_class=Response)
def read_study_metadata(request: Request, study: Uid, user: Searcher) -> Response:
    """Return the metadata of all instances of an imaging study (WADO-RS)."""
    return _metadata(request, rows_of(request, user, study))


@dicomweb.get("/studies/{study}/series/{series}/metadata", response_class=Response)
def read_series_metadata(request: Request, study: Uid, series: Uid, user: Searcher) -> Response:
    """Return the metadata of all instances of a series (WADO-RS)."""
    return _metadata(request, rows_of(request, user, study, series))


@dicomweb.get(
    "/studies/{study}/series/{series}/instances/{instance}/metadata",
    response_class=Response,
)
def read_instance_metadata(
    request: Request, study: Uid, series: Uid, instance: Uid, user: Searcher
) -> Response:
    """Return the metadata of an instance (WADO-RS)."""
    return _metadata(request, rows_of(request, user, study, series, instance))


# Objects


def _objects(request: Request, user: User, rows: Sequence[InstanceRow]) -> Response:
    archive = archive_of(request)
    ranges = [found for found in ranges_of(request) if found.accepts(media.DICOM)]
    if ranges_of(request) and not ranges:
        raise media.NotAcceptable("Whole objects are given as application/dicom.")
    wanted = ranges[0] if ranges else media.MediaRange(media.DICOM, is_multipart=True)
    record_read(request, user, rows)
    if not wanted.is_multipart and wanted.media_type == media.DICOM and len(rows) == 1:
        row = rows[0]
        if wanted.transfer_syntax in ("", "*", row.transfer_syntax_uid):
            kind = f"{media.DICOM}; transfer-syntax={row.transfer_syntax_uid}"
            return partial_content(request, archive.open_object(row), row.size_bytes, kind, row.sha256)
        content, syntax = _retrieve.object_content(archive, row, wanted.transfer_syntax)
        return StreamingResponse(content, media_type=f"{media.DICOM}; transfer-syntax={syntax}")
    status, headers = 200, {}
    if wanted.transfer_syntax not in ("", "*"):
        given = [row for row in rows if _retrieve.can_give(row, wanted.transfer_syntax)]
        # The first one is tried before the answer begins, so that a refusal can still be said.
        _retrieve.object_content(archive, (given or rows)[0], wanted.transfer_syntax)
        if len(given) < len(rows):
            left_out = len(rows) - len(given)
            headers["Warning"] = f'299 racoon: "{left_out} objects cannot be given in this transfer syntax"'
            status, rows = 206, given

    boundary = multipart.new_boundary()
    kind = multipart.content_type(media.DICOM, boundary)
    if all(wanted.transfer_syntax in ("", "*", row.transfer_syntax_uid) for row in rows):
        # The index knows how long each object is, so the files may go out as they lie.
        sizes = [
            (f"{media.DICOM}; transfer-syntax={row.transfer_syntax_uid}", row.size_bytes) for row in rows
        ]
        return PiecesResponse(
            _retrieve.stored_parts(archive, rows, boundary),
            multipart.length_of(sizes, boundary),
            status_code=status,
            headers=headers,
            media_type=kind,
        )

    def parts() -> Iterator[multipart.Part]:
        for row in rows:
            content, syntax = _retrieve.object_content(archive, row, wanted.transfer_syntax)
            yield multipart.Part(f"{media.DICOM}; transfer-syntax={syntax}", content)

    return StreamingResponse(
        multipart.write(parts(), boundary), status_code=status, media_type=kind, headers=headers
    )


@dicomweb.get("/studies/{study}", response_class=Response)
def read_study(request: Request, study: Uid, user: Viewer) -> Response:
    """Return all objects of an imaging study (WADO-RS)."""
    return _objects(request, user, rows_of(request, user, study))


@dicomweb.get("/studies/{study}/series/{series}", response_class=Response)
def read_series(request: Request, study: Uid, series: Uid, user: Viewer) -> Response:
    """Return all objects of a series (WADO-RS)."""
    return _objects(request, user, rows_of(request, user, study, series))


@dicomweb.get("/studies/{study}/series/{series}/instances/{instance}", response_class=Response)
def read_instance(request: Request, study: Uid, series: Uid, instance: Uid, user: Viewer) -> Response:
    """Return one object (WADO-RS)."""
    return _objects(request, user, rows_of(request, user, study, series, instance))


router = APIRouter()
# Routes are tried in this order, and a viewer asks the first ones hundreds of times for each page somebody opens.
# These lie in this router itself: each router inside another is tried three times for a request.
router.routes.extend(dicomweb.routes)
router.include_router(_frames.router)
router.include_router(_pictures.router)
router.include_router(_pages.router)
router.include_router(_deletion_pages.router)
router.include_router(_grant_pages.router)
router.include_router(_deletion_routes.router)
router.include_router(_derived_routes.router)
router.include_router(_grant_routes.router)
router.include_router(_geometry_routes.router)
