"""Services of the reading room, furnished once per application, and what its routes have in common."""

from __future__ import annotations

from typing import Annotated

from fastapi import Path, Request

from racoon.node.archive.access import ImageAccess
from racoon.node.archive.derived import DerivedObjects, made_here
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.service import Archive
from racoon.node.reading.drawing.service import Drawings, superseded
from racoon.node.reading.findings.service import Findings
from racoon.node.reading.reports.service import Reports
from racoon.node.reading.service import Reading
from racoon.platform.auth import User

Uid = Annotated[str, Path(pattern=r"^[0-9]+(\.[0-9]+)*$", max_length=64)]


def reading_of(request: Request) -> Reading:
    """Return the viewer's questions to the archive."""
    state = request.app.state
    archive: Archive = state.archive
    found: Reading | None = getattr(state, "reading", None)
    if found is None:
        found = state.reading = Reading(archive, lambda series: superseded(state.database, series))
    return found


def findings_of(request: Request) -> Findings:
    """Return the findings; the application needs ``database``, ``audit`` and ``archive``."""
    state = request.app.state
    return Findings(state.database, state.audit, state.archive)


def drawings_of(request: Request) -> Drawings:
    """Return the drawings; what is finished needs no cleaning, because this node made it of archived images."""
    state = request.app.state
    objects = DerivedObjects(state.archive, lambda data: made_here(data, "drawn here"), state.audit)
    return Drawings(state.database, state.audit, state.archive, reading_of(request), objects)


def reports_of(request: Request) -> Reports:
    """Return the reports."""
    state = request.app.state
    return Reports(state.database, state.audit, state.archive, findings_of(request))


def may_see(request: Request, user: User, imaging_study_uid: str) -> bool:
    """Tell whether somebody was let into an imaging study."""
    access: ImageAccess | None = getattr(request.app.state, "image_access", None)
    return access is None or access.may_see(user, imaging_study_uid)


def require_sight(request: Request, user: User, imaging_study_uid: str) -> None:
    """Refuse what somebody was not let into, with the words for what does not exist.

    Raises
    ------
    SeriesNotFound
    """
    if not may_see(request, user, imaging_study_uid):
        raise SeriesNotFound("There is no such series in this archive.")


def client_of(request: Request) -> str | None:
    """Return the address of the other side, for the audit."""
    return request.client.host if request.client else None
