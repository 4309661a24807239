"""What the archive's routes share: whose request it is, which objects its path names, what it accepts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import Depends, Path, Request

from racoon.node.archive.access import ImageAccess
from racoon.node.archive.model import InstanceRow, SeriesNotFound
from racoon.node.archive.read_audit import record_image_read
from racoon.node.archive.service import Archive
from racoon.platform.auth import User, Visitor, require, require_within
from racoon.standards.dicomweb import media

ROOT = "/dicom-web"

PORTS = {"http": 80, "https": 443}

FORWARDED = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto")
"""What a proxy adds to a request it hands on."""

Searcher = Annotated[User, Depends(require("archive.read"))]
SearchVisitor = Annotated[Visitor, Depends(require_within("archive.read"))]
Viewer = Annotated[User, Depends(require("image.read"))]
Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]


def archive_of(request: Request) -> Archive:
    """Return the archive that the application holds."""
    found: Archive = request.app.state.archive
    return found


def access_of(request: Request) -> ImageAccess | None:
    """Return the rights per research study, where the node limits anybody by them."""
    return getattr(request.app.state, "image_access", None)


def base_url_of(request: Request) -> str:
    """Address of the DICOMweb root, as the client sees it.

    Notes
    -----
    Some clients (dicomweb-client) leave the port out of their Host header.  Nothing in between says it forwarded the
    request, so the port they mean is the one they came in by.
    """
    base = request.base_url
    server = request.scope.get("server")
    is_forwarded = any(name in request.headers for name in FORWARDED)
    if (
        base.port is None
        and server
        and server[1]
        and not is_forwarded
        and server[1] != PORTS.get(base.scheme)
    ):
        base = base.replace(port=server[1])
    return str(base).rstrip("/") + ROOT


def ranges_of(request: Request) -> tuple[media.MediaRange, ...]:
    """Media types that the client accepts, best first."""
    return media.parse_accept(request.query_params.get("accept") or request.headers.get("accept", ""))


def require_json(request: Request) -> None:
    """Refuse a client that does not take DICOM JSON."""
    media.choose(
        tuple(found for found in ranges_of(request) if not found.is_multipart),
        (media.DICOM_JSON, "application/json"),
    )


def rows_of(
    request: Request, user: User, study: str, series: str = "", instance: str = ""
) -> list[InstanceRow]:
    """Instances named by a path.

    Raises
    ------
    SeriesNotFound
        If the path names nothing, does not fit together, or names what the user may not see: all the same.
    """
    access = access_of(request)
    if access is None or access.may_see(user, study):
        rows = archive_of(request).instances_of_study(
            study, seen_by=user.name, series=series, instance=instance
        )
        if rows:
            return rows
    raise SeriesNotFound("There is no such object in this archive.")


def record_read(request: Request, user: User, rows: Sequence[InstanceRow]) -> None:
    """Audit that a user reads the series of some instances."""
    for series_uid, pseudonym in sorted({(row.series_uid, str(row.pseudonym)) for row in rows}):
        record_image_read(request, user, series_uid, pseudonym)
