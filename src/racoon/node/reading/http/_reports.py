"""Structured reports as JSON: each reader's own, in the reader's language."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, Query, Request

from racoon.domain.questionnaire import MESSAGES, Problem, items_to_fhir
from racoon.node.reading.http._rooms import Uid, client_of, reports_of, require_sight
from racoon.node.reading.reports.model import ReportState, form_of
from racoon.platform.auth import User, require
from racoon.web.translation import language_of
from racoon.web.words import words_of

Author = Annotated[User, Depends(require("report.write"))]


def _let_in(request: Request, study: Uid, user: Author) -> None:
    require_sight(request, user, study)


router = APIRouter(prefix="/api/reading/imaging-studies/{study}/report", dependencies=[Depends(_let_in)])

TemplateUrl = Annotated[str, Query(alias="template", max_length=200)]
BasedOn = Annotated[int, Query(ge=0, description="Revision the author saw")]

DEFAULT_TEMPLATE = "urn:racoon:questionnaire:thorax-short"


def _describe(request: Request, state: ReportState, *, with_form: bool = False) -> dict[str, Any]:
    report, language = state.report, language_of(request)
    document: dict[str, Any] = {
        "id": report.report_id,
        "revision": report.revision,
        "signed_at": report.signed_at.isoformat() if report.signed_at else None,
        "signed_hash": report.signed_hash,
        "author": report.author,
        "items": items_to_fhir(report.template, report.items),
        "hidden": sorted(state.hidden),
        "problems": [
            {"path": problem.path, "code": problem.code, "message": _message(problem, language)}
            for problem in state.problems
        ],
    }
    return document | ({"form": form_of(report.template, language)} if with_form else {})


def _message(problem: Problem, language: str) -> str:
    return words_of(language)(MESSAGES[problem.code]) % {"limit": problem.limit}


@router.get("")
def read_report(
    request: Request, study: Uid, user: Author, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Return the reader's own report with its form, the open questions and what is not asked."""
    return _describe(request, reports_of(request).get(user, study, template), with_form=True)


@router.get("/questionnaire-response")
def read_response(
    request: Request, study: Uid, user: Author, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Return the reader's own report as a FHIR R4 QuestionnaireResponse."""
    return reports_of(request).get(user, study, template).report.to_fhir()


@router.put("")
def save_report(
    request: Request,
    study: Uid,
    user: Author,
    items: Annotated[list[dict[str, Any]], Body()],
    based_on: BasedOn,
    template: TemplateUrl = DEFAULT_TEMPLATE,
) -> dict[str, Any]:
    """Save the answers (items of a QuestionnaireResponse) as a draft, whatever is still missing."""
    return _describe(request, reports_of(request).save(user, study, template, items, based_on))


@router.post("/normal")
def fill_normal(
    request: Request,
    study: Uid,
    user: Author,
    based_on: BasedOn,
    template: TemplateUrl = DEFAULT_TEMPLATE,
) -> dict[str, Any]:
    """Give every open question the answer of a normal case."""
    return _describe(request, reports_of(request).fill_normal(user, study, template, based_on))


@router.post("/sign")
def sign_report(
    request: Request,
    study: Uid,
    user: Author,
    based_on: BasedOn,
    template: TemplateUrl = DEFAULT_TEMPLATE,
) -> dict[str, Any]:
    """Sign the report; an incomplete one is refused, and a signed one is never changed."""
    state = reports_of(request).sign(user, study, template, based_on, client_of(request))
    return _describe(request, state)
