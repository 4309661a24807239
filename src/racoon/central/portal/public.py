"""The public page: which studies are under way or done, in words for everybody, with counts that give nobody away.

It asks nobody to sign in, is off unless the network turns it on, and shows a study only from its activation on.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from racoon.central.portal.views import Rooms, page
from racoon.central.studies.model import Study
from racoon.domain.governance.site_track import RELEASED_STATES
from racoon.errors import Refused
from racoon.platform import clock

PUBLIC_STATES = frozenset({"active", "data_hold", "analysis", "closed", "archived"})
"""From the activation on, which two people decide; ideas, applications and refusals are nobody else's business."""

SMALLEST_NUMBER_OF_SITES = 3
"""With fewer sites a total would tell one of them the other's number."""

ROUNDING = 10
"""Totals are rounded down to multiples of this; below it nothing is said."""

FRESH_FOR = timedelta(minutes=5)
"""Nobody signs in here, so the database is asked at most once in this time."""


class NoPublicPage(Refused):
    """This network has no public page."""

    code: ClassVar[str] = "portal.no_public_page"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class PublicStudy:
    """What everybody may know of a study.

    Parameters
    ----------
    study_id, title, lay_summary
        As the study says them.
    state
        State of ``domain.governance.study``.
    is_pooled
        Whether de-identified images go to one place.
    sites
        Sites that have released data.
    at_least
        Lower bound of the subjects at all sites together, a multiple of ten; ``None`` where too few sites or subjects
        stand behind it.
    """

    study_id: str
    title: str
    lay_summary: str
    state: str
    is_pooled: bool
    sites: int
    at_least: int | None


def safe_total(by_site: Mapping[str, int | None]) -> int | None:
    """Return a total that gives nobody away.

    Parameters
    ----------
    by_site
        Subjects by site as the sites released them; ``None`` where a site's own number was too small to be said.

    Returns
    -------
    int or None
        Rounded down; ``None`` for too few sites or subjects.
    """
    said = [count for count in by_site.values() if count is not None]
    if len(said) < SMALLEST_NUMBER_OF_SITES:
        return None
    total = sum(said) // ROUNDING * ROUNDING
    return total or None


def routes(rooms: Rooms) -> APIRouter:
    """Make the routes that need nobody to sign in."""
    routes = APIRouter()
    lock = threading.Lock()
    kept: list[tuple[datetime, list[PublicStudy], int]] = []

    def newest() -> tuple[list[PublicStudy], int]:
        if not rooms.has_public_page:
            raise NoPublicPage("This network has no public page.")
        with lock:
            if not kept or not timedelta(0) <= clock.now() - kept[0][0] < FRESH_FOR:
                kept[:] = [(clock.now(), *_look_up(rooms))]
            return kept[0][1], kept[0][2]

    @routes.get("/public", include_in_schema=False)
    def show_public(request: Request) -> Response:
        """Show what everybody may know."""
        studies, sites = newest()
        return page(request, "public.html", studies=studies, sites=sites, network=rooms.network)

    @routes.get("/api/public", tags=["public"])
    def list_public() -> dict[str, Any]:
        """List what everybody may know of the network's studies; nobody has to sign in."""
        studies, sites = newest()
        return {"network": rooms.network, "sites": sites, "studies": [asdict(item) for item in studies]}

    return routes


def _look_up(rooms: Rooms) -> tuple[list[PublicStudy], int]:
    found = []
    with rooms.database.connect() as connection:
        for study in rooms.studies.studies(connection):
            if study.state in PUBLIC_STATES:
                tracks = rooms.studies.tracks(connection, study.study_id)
                released = sum(track.state in RELEASED_STATES for track in tracks)
                found.append(_public(study, released, rooms.analyses.frozen(connection, study.study_id)))
        return found, len(rooms.sites.enrolled(connection))


def _public(study: Study, released: int, frozen: Mapping[str, Mapping[str, Any]]) -> PublicStudy:
    counts = {site: said.get("subjects") for site, said in frozen.items()}
    return PublicStudy(
        study_id=study.study_id,
        title=study.definition.title,
        lay_summary=study.definition.lay_summary,
        state=study.state,
        is_pooled=study.definition.mode != "federated",
        sites=released,
        at_least=safe_total(
            {site: count if isinstance(count, int) else None for site, count in counts.items()}
        ),
    )
