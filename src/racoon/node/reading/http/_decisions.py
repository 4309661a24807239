"""Decisions between two readings as JSON: what the third reader sees of both, and the record of who decided what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from racoon.domain.questionnaire import Template, answer_to_fhir, same_answers
from racoon.node.reading.adjudication.model import NothingToDecide, provenance_of
from racoon.node.reading.adjudication.service import Case, paths_of
from racoon.node.reading.http._reports import describe_report
from racoon.node.reading.http._rooms import (
    Uid,
    agreements_of,
    decisions_of,
    forms_of,
    reports_of,
    require_sight,
    work_of,
)
from racoon.node.reading.reports.reading_aloud import lines_of
from racoon.node.reading.work.model import StillBlinded
from racoon.platform.auth import User, require
from racoon.web.translation import language_of
from racoon.web.words import words_of

Author = Annotated[User, Depends(require("report.write"))]
Viewer = Annotated[User, Depends(require("finding.read"))]
ListName = Annotated[str, Path(min_length=1, max_length=80)]

router = APIRouter(prefix="/api/reading/worklists/{name}/cases/{study}")


def _describe(case: Case, forms: Mapping[str, Template], language: str) -> dict[str, Any]:
    words = words_of(language)

    def called(name: str) -> str:
        return case.aliases.get(name, name)

    answers: dict[str, dict[str, Any]] = {}
    for version in case.readings:
        template = forms[version.response["questionnaire"]]
        said = {
            line.path: (line.question, line.text)
            for line in lines_of(template, version.response["item"], language)
        }
        kinds = {item.link_id: item.kind for item in template.walk()}
        for path, given in paths_of(version, forms).items():
            kind = kinds[path.rpartition("/")[2].partition("[")[0]]
            answers.setdefault(path, {})[called(version.author)] = {
                "question": said[path][0],
                "text": said[path][1],
                "answer": [answer_to_fhir(kind, answer) for answer in given],
            }
    first, second = (paths_of(version, forms) for version in case.readings)
    return {
        "readers": [called(version.author) for version in case.readings],
        "answers": answers,
        "differing": [
            path for path in answers if not same_answers(first.get(path, ()), second.get(path, ()))
        ],
        "masks": [mask.to_dict() | {"name": words(mask.meaning)} for mask in case.masks],
    }


@router.get("/readings")
def read_both(request: Request, name: ListName, study: Uid, user: Author) -> dict[str, Any]:
    """Return both signed readings side by side, to the person who decides, when both readers are done."""
    require_sight(request, user, study)
    case = decisions_of(request).case(user, name, study)
    language = language_of(request)
    try:
        agreement = agreements_of(request).items(name)
    except StillBlinded:
        agreement = []
    return _describe(case, forms_of(request), language) | {
        "agreement": [
            item.to_dict(language) | ({"readers": []} if case.aliases else {}) for item in agreement
        ]
    }


@router.post("/begin")
def begin_decision(
    request: Request,
    name: ListName,
    study: Uid,
    user: Author,
    based_on: Annotated[int, Query(ge=0, description="Revision the author saw")],
    reader: Annotated[str, Query(max_length=80)] = "",
) -> dict[str, Any]:
    """Fill the own draft with one reader's answers, or with what both say alike."""
    require_sight(request, user, study)
    decisions = decisions_of(request)
    template = decisions.case(user, name, study).task.template_url
    items = decisions.beginning(user, name, study, reader)
    return describe_report(request, reports_of(request).begin(user, study, template, items, based_on))


def _record(request: Request, name: str, study: str, user: User) -> dict[str, Any]:
    require_sight(request, user, study)
    if work_of(request).is_blinded(user, study):
        raise NothingToDecide("This case is not decided.")
    return decisions_of(request).record(name, study)


@router.get("/decision")
def read_decision(request: Request, name: ListName, study: Uid, user: Viewer) -> dict[str, Any]:
    """Return the record of a decision: all three names, the hashes of what they signed, whose answer each is."""
    return _record(request, name, study, user)


@router.get("/provenance")
def read_provenance(request: Request, name: ListName, study: Uid, user: Viewer) -> dict[str, Any]:
    """Return a decision as a FHIR R4 Provenance."""
    return provenance_of(_record(request, name, study, user))
