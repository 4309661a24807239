"""Masks that readers draw, as JSON: each reader's own drawing on a series.

A change names the revision its author saw; the answer has the next one, the slices that the node changed and the
volume of each segment.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Path, Query, Request
from pydantic import BaseModel, Field

from racoon.domain.labels import PALETTE, Label, label_map_for, label_of
from racoon.node.archive.model import SeriesNotFound
from racoon.node.archive.read_audit import record_image_read
from racoon.node.reading.drawing.model import (
    BadDrawing,
    DrawingChanged,
    DrawingState,
    Operation,
    SliceChange,
    Wish,
)
from racoon.node.reading.http._rooms import (
    Uid,
    client_of,
    drawings_of,
    hidden_masks,
    mask_findings_of,
    proposals_of,
    protocols_of,
    reading_of,
    require_sight,
    work_of,
    writing,
)
from racoon.node.reading.model import SeriesView
from racoon.node.reading.practice.service import is_practice
from racoon.platform.auth import User, require
from racoon.web.translation import language_of
from racoon.web.words import words_of

MOST_CHANGES = 4000
"""More slices than any series has in one stroke; a page that lost its network sends what it kept in parts."""


class SliceRuns(BaseModel):
    """New runs of one segment on one slice: start, length, start, length … over its pixels in reading order.

    A change may begin its segment: ``label`` is the key of what the segment means then.
    """

    segment: Annotated[int, Field(ge=1)]
    slice: Annotated[int, Field(ge=0)]
    runs: Annotated[list[int], Field(max_length=1_000_000)]
    label: Annotated[str, Field(max_length=80)] = ""


class Task(BaseModel):
    """What the node shall do to a segment; see ``Wish``."""

    operation: Operation
    segment: Annotated[int, Field(ge=1)]
    amount: float = 0.0
    other: Annotated[int, Field(ge=0)] = 0
    seed: tuple[int, int, int] = (0, 0, 0)
    range: tuple[float, float] = (0.0, 0.0)


Author = Annotated[User, Depends(require("finding.write"))]


def _let_in(request: Request, series: Uid, user: Author) -> None:
    require_sight(request, user, reading_of(request).view(series).imaging_study_uid)


router = APIRouter(prefix="/api/reading/series/{series}/drawing", dependencies=[Depends(_let_in)])

BasedOn = Annotated[int, Query(ge=0, description="Revision the author saw")]
Number = Annotated[int, Path(ge=1)]
ListName = Annotated[str, Query(alias="list", max_length=80, description="Reading list, for its labels")]


def _writer(request: Request, user: User, series: str) -> User:
    return writing(request, user, reading_of(request).view(series).imaging_study_uid)


def _describe(request: Request, state: DrawingState) -> dict[str, Any]:
    language = language_of(request)
    drawing = state.drawing
    taken: list[str] = []
    for segment in drawing.segments:
        colour = segment.label.colour
        # Two nodules are two colours, and others than the first masks of the archive have.
        taken.append(
            colour if colour and colour not in taken else PALETTE[(segment.number + 4) % len(PALETTE)]
        )
    return {
        "revision": drawing.revision,
        "finished": bool(drawing.finished) and drawing.finished_revision == drawing.revision,
        "instance": drawing.finished[-1] if drawing.finished else "",
        "segments": [
            {
                "number": segment.number,
                "key": segment.label.code.key,
                "name": _name(segment.label, language),
                "locked": segment.is_locked,
                "origin": segment.origin,
                "algorithm": segment.algorithm,
                "level": segment.level,
                "colour": colour,
                "volume_ml": state.volumes_ml.get(segment.number, 0.0),
            }
            for segment, colour in zip(drawing.segments, taken, strict=True)
        ],
        "slices": [
            {"segment": change.segment, "slice": change.index, "runs": change.runs} for change in state.slices
        ],
    }


def _name(label: Label, language: str) -> str:
    if language == "de" and label.german:
        return label.german
    return words_of(language)(label.code.meaning) or label.code.value


def _labels(request: Request, user: User, view: SeriesView, list_name: str) -> tuple[Label, ...]:
    """Return what a segment may mean: as the reading protocol says, else as the body part does."""
    task = work_of(request).task_of(user, view.imaging_study_uid, list_name)
    own = protocols_of(request).get(task.protocol).labels if task and task.protocol else ()
    return own or label_map_for(view.body_part).labels


def _chosen(request: Request, user: User, series: str, key: str, list_name: str) -> Label:
    found = label_of(key, _labels(request, user, reading_of(request).view(series), list_name))
    if found is None:
        raise BadDrawing("Choose a label from the list.")
    return found


@router.get("")
def read_drawing(request: Request, series: Uid, user: Author, list_name: ListName = "") -> dict[str, Any]:
    """Return the reader's own drawing with its pixels, and the labels a segment may have."""
    view = reading_of(request).view(series)
    record_image_read(request, user, series, view.pseudonym)
    language = language_of(request)
    labels = _labels(request, user, view, list_name)
    return _describe(request, drawings_of(request).get(_writer(request, user, series), series)) | {
        "labels": [[label.code.key, _name(label, language), label.colour] for label in labels],
        "palette": list(PALETTE),
    }


@router.patch("")
def save_strokes(
    request: Request,
    series: Uid,
    user: Author,
    changes: Annotated[list[SliceRuns], Body(max_length=MOST_CHANGES)],
    based_on: BasedOn,
    list_name: ListName = "",
) -> dict[str, Any]:
    """Save what was drawn; each change replaces one segment on one slice.

    Changes of a segment that the node does not have yet name its label: a page without a network begins segments.
    """
    strokes = [SliceChange(item.segment, item.slice, tuple(item.runs)) for item in changes]
    begun: dict[int, Label] = {}
    for item in changes:
        if item.label and item.segment not in begun:
            begun[item.segment] = _chosen(request, user, series, item.label, list_name)
    state = drawings_of(request).save(_writer(request, user, series), series, based_on, strokes, begun)
    return _describe(request, state) | {"slices": []}


@router.post("/segments")
def add_segment(
    request: Request,
    series: Uid,
    user: Author,
    based_on: BasedOn,
    label: Annotated[str, Query(max_length=80)],
    list_name: ListName = "",
) -> dict[str, Any]:
    """Add an empty segment with a label of the list."""
    found = _chosen(request, user, series, label, list_name)
    return _describe(
        request, drawings_of(request).add_segment(_writer(request, user, series), series, based_on, found)
    )


@router.put("/segments/{number}")
def lock_segment(
    request: Request, series: Uid, number: Number, user: Author, based_on: BasedOn, *, locked: bool
) -> dict[str, Any]:
    """Lock or unlock a segment."""
    state = drawings_of(request).change_segment(
        _writer(request, user, series), series, based_on, number, lock=locked
    )
    return _describe(request, state)


@router.delete("/segments/{number}")
def remove_segment(
    request: Request, series: Uid, number: Number, user: Author, based_on: BasedOn
) -> dict[str, Any]:
    """Remove a segment with its pixels."""
    return _describe(
        request, drawings_of(request).remove_segment(_writer(request, user, series), series, based_on, number)
    )


@router.post("/segments/{number}/finding")
def take_volume(
    request: Request, series: Uid, number: Number, user: Author, based_on: BasedOn
) -> dict[str, Any]:
    """Make a segment's volume a finding that answers of a report can be taken from; it follows every stroke."""
    writer = _writer(request, user, series)
    state = drawings_of(request).get(writer, series)
    if state.drawing.revision != based_on:
        raise DrawingChanged("The drawing was changed in another window. Load the page again.")
    found = mask_findings_of(request).take(writer, state, number, client_of(request))
    return found.to_dict() | {"author": user.name}


@router.post("/adopt")
def adopt_segmentation(
    request: Request,
    series: Uid,
    user: Author,
    based_on: BasedOn,
    segmentation: Annotated[str, Query(max_length=64)],
) -> dict[str, Any]:
    """Take over the segments of a stored segmentation, a pre-label for example, to correct them."""
    if segmentation in hidden_masks(request, user, reading_of(request).view(series)):
        raise SeriesNotFound("There is no such segmentation of this series.")
    state = drawings_of(request).adopt(_writer(request, user, series), series, based_on, segmentation)
    study = state.drawing.imaging_study_uid
    proposals_of(request).decide_mask(user, study, segmentation, accept=True)
    return _describe(request, state)


@router.post("/reject")
def reject_segmentation(
    request: Request, series: Uid, user: Author, segmentation: Annotated[str, Query(max_length=64)]
) -> dict[str, Any]:
    """Reject a machine's mask: it stays in the archive, and is shown to this reader as rejected."""
    view = reading_of(request).view(series)
    seen = {entry.key.partition(":")[0] for entry in view.segments if entry.is_automatic}
    if segmentation not in seen - hidden_masks(request, user, view):
        raise SeriesNotFound("There is no such segmentation of this series.")
    proposals_of(request).decide_mask(user, view.imaging_study_uid, segmentation, accept=False)
    return {"segmentation": segmentation, "state": "rejected"}


@router.post("/work")
def work_on_segment(
    request: Request, series: Uid, user: Author, task: Task, based_on: BasedOn
) -> dict[str, Any]:
    """Let the node grow, fill, smooth, widen, clean or combine segments; the answer has the changed slices."""
    wish = Wish(task.operation, task.segment, task.amount, task.other, task.seed, task.range)
    return _describe(
        request, drawings_of(request).work(_writer(request, user, series), series, based_on, wish)
    )


@router.post("/finish")
def finish_drawing(request: Request, series: Uid, user: Author, based_on: BasedOn) -> dict[str, Any]:
    """Store the drawing in the archive as DICOM SEG."""
    writer = _writer(request, user, series)
    if is_practice(writer):
        # What is drawn to practise stays with the attempt and never enters the archive.
        return _describe(request, drawings_of(request).get(writer, series)) | {"slices": [], "finished": True}
    return _describe(request, drawings_of(request).finish(writer, series, based_on, client_of(request)))
