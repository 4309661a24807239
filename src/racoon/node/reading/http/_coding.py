"""Codes for words in the free texts of a report, offered while somebody writes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request

from racoon.domain.labels import LABEL_MAPS, Label
from racoon.node.reading.http._reports import Author, TemplateUrl, let_in
from racoon.node.reading.http._rooms import (
    Uid,
    forms_of,
    labels_of,
    protocols_of,
    reports_of,
    work_of,
    writing,
)
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.node.reading.reports.coding_help import CodingHelp
from racoon.web.translation import language_of
from racoon.web.words import words_of

router = APIRouter(prefix="/api/reading/imaging-studies/{study}/report", dependencies=[Depends(let_in)])

BeforeTheHand = Annotated[str, Body(embed=True, max_length=400, description="What stands before the hand")]


@router.post("/codes")
def suggest_codes(
    request: Request,
    study: Uid,
    user: Author,
    text: BeforeTheHand,
    template: TemplateUrl = DEFAULT_TEMPLATE,
    list_name: Annotated[str, Query(alias="list", max_length=80)] = "",
) -> dict[str, Any]:
    """Offer codes for the words that a text ends with; nothing of it is stored or leaves the node.

    Words that their sentence denies get no code.
    """
    form = reports_of(request).get(writing(request, user, study), study, template).report.template
    task = work_of(request).task_of(user, study, list_name)
    own: tuple[Label, ...] = ()
    if task is not None and task.protocol:
        own = protocols_of(request).get(task.protocol).labels
    labels = labels_of(request)
    shipped = [label for entry in LABEL_MAPS for label in entry.labels]
    german = words_of("de")
    names = {label.code.meaning: german(label.code.meaning) for label in [*own, *labels, *shipped]}
    offered = CodingHelp(form, own, forms_of(request).values(), labels, names)
    return {"codes": [item.to_dict() for item in offered.offer(text, language_of(request))]}
