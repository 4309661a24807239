"""The page at its stable address: the reading room, or the plain viewer where it cannot run; masks of a slice."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Depends, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.domain.finding import MEANINGS, NAMES
from racoon.domain.permission import is_permitted
from racoon.node.archive.read_audit import record_image_read
from racoon.node.reading.http import second_viewer
from racoon.node.reading.http._choices import chosen_template, template_choices
from racoon.node.reading.http._rooms import (
    Uid,
    hidden_masks,
    may_see,
    practice_of,
    proposals_of,
    protocols_of,
    reading_of,
    require_sight,
    seen_by,
    work_of,
)
from racoon.node.reading.keys import KEYS
from racoon.node.reading.model import ROOM_WORDS, SeriesView
from racoon.node.reading.practice.model import ReferenceSet
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.node.reading.service import Overlays
from racoon.node.reading.work.model import ADJUDICATE, ReadingTask
from racoon.node.reading.work.timing import OPEN
from racoon.platform.auth import User, require
from racoon.web.pages import asset, render
from racoon.web.translation import language_of
from racoon.web.words import words_of

router = APIRouter()

Viewer = Annotated[User, Depends(require("image.read"))]
Text = Annotated[str, Query(max_length=64)]

CORNERSTONE = "vendor/cornerstone/cornerstone.js"
"""What ``tools/build_viewer.py`` makes; the wheel brings it along."""


def is_room_built() -> bool:
    """Tell whether the third-party modules of the reading room are there."""
    return files("racoon.web").joinpath("static", CORNERSTONE).is_file()


@router.get("/reading/series/{series}", include_in_schema=False)
def show_series(
    request: Request,
    series: Uid,
    user: Viewer,
    *,
    instance: Text = "",
    frame: Annotated[int, Query(ge=1)] = 1,
    segmentation: Text = "",
    segment: Annotated[str, Query(max_length=80)] = "",
    finding: Annotated[str, Query(max_length=36)] = "",
    plain: bool = False,
    list_name: Annotated[str, Query(alias="list", max_length=80)] = "",
) -> Response:
    """Show a series, at a slice, with a segment or a finding when the address names them.

    The segment is ``segmentation=<SOP Instance UID>&segment=<number>``, or both in one with a colon.  ``plain``
    asks for the viewer that needs no WebGL, ``template=<address>`` for what the report is written with where no
    reading list says so.
    """
    reading = reading_of(request)
    segment = f"{segmentation}:{segment}" if segmentation and segment else segment
    view = reading.view(series)
    require_sight(request, user, view.imaging_study_uid)
    view = seen_by(request, user, view)
    record_image_read(request, user, series, view.pseudonym)
    practice = _practice(request, user, view)
    attempt = request.query_params.get("attempt", "")
    if attempt and practice is None:
        place = f"/reading/practice/{quote(attempt, safe='')}/{view.imaging_study_uid}"
        return RedirectResponse(place, status_code=303)
    start = view.index_of(instance, frame)
    if start is None and segment and view.has_overlays:
        start = reading.largest_slice(series, segment)
    if start is None:
        start = len(view.planes) // 2
    known = {entry.key for entry in view.segments}
    script = view.to_dict(words_of(language_of(request))) | {
        "start": start,
        "segment": segment if segment in known else "",
        "rejected": _rejected(request, user, view),
    }
    is_room, task = is_room_built() and not plain, None
    if is_room:
        task = work_of(request).task_of(user, view.imaging_study_uid, list_name)
        if task is not None:
            work_of(request).note(user, view.imaging_study_uid, OPEN, list_name)
        script |= {"finding": finding} | _room(request, user, view) | _asked(task)
        if task is None and script["mayReport"]:
            asked_for = request.query_params.get("template", "")
            script["template"] = chosen_template(
                request, user, view.imaging_study_uid, view.body_part, asked_for
            )
        script["hanging"] |= _hung(request, task)
        if practice is not None:
            task = None
            script |= {"list": "", "template": practice.template_url, "decides": False}
    return render(
        request,
        "node/reading/room.html" if is_room else "node/reading/series.html",
        view=view,
        start=start,
        # "<" must not appear inside a script element, whatever a description holds.
        script=json.dumps(script, separators=(",", ":")).replace("<", "\\u003c"),
        is_instance_unknown=bool(instance) and view.index_of(instance, frame) is None,
        is_segment_unknown=bool(segment) and segment not in known,
        is_room_built=is_room_built(),
        second_viewer=second_viewer.address_of(view.imaging_study_uid, series)
        if second_viewer.is_installed()
        else "",
        cornerstone=asset(CORNERSTONE) if is_room else "",
        all_series=reading.picture_series(view.imaging_study_uid) if is_room else (),
        keys=KEYS,
        task=task,
        decides=bool(script.get("decides")),
        practice=practice,
        templates=template_choices(request) if is_room and task is None and practice is None else (),
        template_url=script.get("template", ""),
    )


def _practice(request: Request, user: User, view: SeriesView) -> ReferenceSet | None:
    """Return the reference set for which an attempt of this reader is open on the images, or None."""
    practice = practice_of(request)
    attempt_id = practice.open_attempt(user.name, view.imaging_study_uid)
    found = [item for item in practice.attempts(reader=user.name) if item.attempt_id == attempt_id]
    return practice.get(found[0].set_name) if found else None


def _hung(request: Request, task: ReadingTask | None) -> dict[str, Any]:
    """Return how the protocol of a list wants images shown first; what it leaves open is the site's table's."""
    if task is None or not task.protocol:
        return {}
    wanted = protocols_of(request).get(task.protocol).hanging
    shown = {"layout": wanted.layout, "prior": wanted.prior}
    return shown | ({"window": wanted.window} if wanted.window else {})


def _asked(task: ReadingTask | None) -> dict[str, Any]:
    """Return what a reading list asks of the reader here."""
    if task is None:
        return {"list": "", "template": DEFAULT_TEMPLATE, "decides": False}
    return {
        "list": task.list_name,
        "template": task.template_url,
        "decides": task.duty == ADJUDICATE and not task.is_waiting,
    }


def _room(request: Request, user: User, view: SeriesView) -> dict[str, Any]:
    """Return what the reading room's script needs besides the series."""
    language = language_of(request)
    words = words_of(language)
    place = request.app.state.accounts.role
    return {
        "cornerstone": asset(CORNERSTONE),
        "language": language,
        "user": user.name,
        "mayWrite": is_permitted(place, user.roles, "finding.write"),
        "mayReport": is_permitted(place, user.roles, "report.write"),
        "allSeries": [
            facts.series_uid for facts in reading_of(request).picture_series(view.imaging_study_uid)
        ],
        "keys": [[list(binding.keys), binding.action, binding.in_fields] for binding in KEYS],
        "meanings": [[code.key, words(code.meaning)] for code in MEANINGS],
        # The value of one pixel is coded as a mean, which nobody would call it.
        "names": {name: words(code.meaning) for name, code in NAMES.items()} | {"value": words("Value")},
        "shapes": {kind: words(kind) for kind in ("cylinder", "cube")},
        "words": {text: words(text) for text in ROOM_WORDS},
    }


@router.get("/api/reading/series/{series}")
def read_series_view(request: Request, series: Uid, user: Viewer) -> dict[str, Any]:
    """Return what the reading room needs to show a series: planes in order, windows, segments, edges."""
    view = reading_of(request).view(series)
    require_sight(request, user, view.imaging_study_uid)
    record_image_read(request, user, series, view.pseudonym)
    found = seen_by(request, user, view).to_dict(words_of(language_of(request)))
    return found | {"rejected": _rejected(request, user, view)}


def _rejected(request: Request, user: User, view: SeriesView) -> list[str]:
    """List the machine's masks that this reader rejected."""
    return sorted(proposals_of(request).rejected_masks(user, view.imaging_study_uid))


@router.get("/api/reading/series/{series}/priors")
def list_priors(request: Request, series: Uid, user: Viewer) -> dict[str, Any]:
    """List series of the same subject to compare with, the best first; only imaging studies the user may see."""
    reading = reading_of(request)
    require_sight(request, user, reading.view(series).imaging_study_uid)
    return {
        "series": [
            {
                "series": facts.series_uid,
                "imaging_study": facts.imaging_study_uid,
                "date": facts.study_date_shifted,
                "description": facts.description or facts.body_part,
            }
            for facts in reading.priors(series)
            if may_see(request, user, facts.imaging_study_uid)
        ]
    }


@router.get("/reading/series/{series}/overlays/{index}")
def read_overlays(request: Request, series: Uid, index: Annotated[int, Path(ge=0)], user: Viewer) -> Response:
    """Return the masks on one slice by segment: start, length, … over its pixels in reading order."""
    return _compact(_overlays(request, series, user).get(index, {}))


@router.get("/reading/series/{series}/overlays")
def read_all_overlays(request: Request, series: Uid, user: Viewer) -> Response:
    """Return the masks of the whole series by slice and segment, for the planes that cut through it."""
    return _compact(_overlays(request, series, user))


def _overlays(request: Request, series: str, user: User) -> Overlays:
    """Return the masks of a series that a person may see."""
    reading = reading_of(request)
    view = reading.view(series)
    require_sight(request, user, view.imaging_study_uid)
    record_image_read(request, user, series, view.pseudonym)
    hidden = hidden_masks(request, user, view)
    found = reading.overlays(series)
    if not hidden:
        return found
    return {
        index: {key: runs for key, runs in masks.items() if key.partition(":")[0] not in hidden}
        for index, masks in found.items()
    }


def _compact(document: object) -> Response:
    return Response(
        json.dumps(document, separators=(",", ":")),
        media_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
