"""Structured reports as JSON: each reader's own, in the reader's language."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

import sqlalchemy as sa
from fastapi import APIRouter, Body, Depends, Query, Request
from starlette.responses import Response

from racoon.domain.questionnaire import MESSAGES, Problem, Template, answer_to_fhir, items_to_fhir
from racoon.errors import RacoonError
from racoon.node.reading.findings.masks import require_stored
from racoon.node.reading.http._rooms import (
    Uid,
    client_of,
    decisions_of,
    findings_of,
    forms_of,
    labels_of,
    made_objects,
    practice_of,
    proposals_of,
    protocols_of,
    published_of,
    queries_of,
    reports_of,
    require_sight,
    sight_of,
    work_of,
    writing,
)
from racoon.node.reading.practice.service import is_practice
from racoon.node.reading.queries.service import require_no_open
from racoon.node.reading.reports.catalogue import level_of
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.node.reading.reports.model import ReportState, ReportVersion, form_of, sources_of
from racoon.node.reading.reports.paper import ORIGINS, Paper, paper_of
from racoon.node.reading.reports.pdf import write_pdf
from racoon.node.reading.reports.published import PreviousReport
from racoon.node.reading.reports.reading_aloud import lines_of, say_answer
from racoon.node.reading.work.timing import SAVE
from racoon.platform.auth import User, require
from racoon.web.pages import render, say_time
from racoon.web.translation import language_of
from racoon.web.words import words_of

Author = Annotated[User, Depends(require("report.write"))]


def let_in(request: Request, study: Uid, user: Author) -> None:
    """Refuse whoever may not see the imaging study now."""
    require_sight(request, user, study)


router = APIRouter(prefix="/api/reading/imaging-studies/{study}/report", dependencies=[Depends(let_in)])

TemplateUrl = Annotated[str, Query(alias="template", max_length=200)]
VersionNumber = Annotated[int, Query(ge=0, description="0 for the newest")]
ReportId = Annotated[str, Query(max_length=36, description="Another reader's report; else the own one")]
Words = Annotated[str, Body(embed=True, max_length=4000)]
BasedOn = Annotated[int, Query(ge=0, description="Revision the author saw")]

logger = logging.getLogger(__name__)


def describe_report(request: Request, state: ReportState, *, with_form: bool = False) -> dict[str, Any]:
    """Return the JSON form of a report: answers, what is asked and what is open, in the reader's language."""
    report, language = state.report, language_of(request)
    document: dict[str, Any] = {
        "id": report.report_id,
        "revision": report.revision,
        "signed_at": report.signed_at.isoformat() if report.signed_at else None,
        "signed_hash": report.signed_hash,
        "author": report.author,
        "amending": report.amending,
        "items": items_to_fhir(report.template, report.items),
        "hidden": sorted(state.hidden),
        "problems": describe_problems(state.problems, language),
        "doubts": describe_problems(state.doubts, language),
    }
    if with_form:
        with request.app.state.database.connect() as connection:
            level = words_of(language)(level_of(report.template, connection, report.signed_at))
        document["form"] = form_of(report.template, language) | {"level": level}
    return document


def describe_problems(problems: Sequence[Problem], language: str) -> list[dict[str, str]]:
    """Return the JSON form of what is wrong or doubtful, in a language."""
    return [
        {
            "path": problem.path,
            "code": problem.code,
            "check": problem.check,
            "message": _message(problem, language),
        }
        for problem in problems
    ]


def _before(before: PreviousReport, forms: Mapping[str, Template], language: str) -> dict[str, Any]:
    """Say what was signed on the examination before, question by question."""
    version = before.version
    form = forms[version.response["questionnaire"]]
    lines = lines_of(form, version.response["item"], language)
    address = quote(version.imaging_study_uid, safe="")
    return {
        "signed_at": version.signed_at.isoformat(),
        "imaging_study": version.imaging_study_uid,
        "examined_on": before.examined_on,
        "author": version.author,
        "link": f"/api/reading/imaging-studies/{address}/report/document"
        f"?template={quote(form.url, safe='')}&report={version.report_id}",
        "answers": {line.path: line.text for line in lines if line.text},
    }


def _message(problem: Problem, language: str) -> str:
    if problem.words is not None:
        return problem.words.in_language(language)
    return words_of(language)(MESSAGES[problem.code]) % {"limit": problem.limit}


@router.get("")
def read_report(
    request: Request, study: Uid, user: Author, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Return the reader's own report with its form, the open questions and what is not asked."""
    before = published_of(request).previous(user, study, template, sight_of(request, user))
    shown = _before(before, forms_of(request), language_of(request)) if before else None
    return describe_report(
        request, reports_of(request).get(writing(request, user, study), study, template), with_form=True
    ) | {"before": shown}


@router.get("/questionnaire-response")
def read_response(
    request: Request, study: Uid, user: Author, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Return the reader's own report as a FHIR R4 QuestionnaireResponse."""
    return reports_of(request).get(writing(request, user, study), study, template).report.to_fhir()


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
    state = reports_of(request).save(
        writing(request, user, study), study, template, items, based_on, labels=labels_of(request)
    )
    work_of(request).note(user, study, SAVE)
    return describe_report(request, state)


@router.post("/normal")
def fill_normal(
    request: Request,
    study: Uid,
    user: Author,
    based_on: BasedOn,
    template: TemplateUrl = DEFAULT_TEMPLATE,
) -> dict[str, Any]:
    """Give every open question the answer of a normal case."""
    return describe_report(
        request, reports_of(request).fill_normal(writing(request, user, study), study, template, based_on)
    )


@router.post("/sign")
def sign_report(
    request: Request,
    study: Uid,
    user: Author,
    based_on: BasedOn,
    template: TemplateUrl = DEFAULT_TEMPLATE,
) -> dict[str, Any]:
    """Sign the report; an incomplete one is refused, and a signed one is never changed.

    While an attempt at a reference set is open on the images, the answers are submitted to it and scored instead.
    """
    writer = writing(request, user, study)
    if is_practice(writer):
        state = reports_of(request).get(writer, study, template)
        attempt = practice_of(request).submit(user, study, state)
        done = describe_report(request, state)
        case = next(item for item in attempt.cases if item.imaging_study_uid == study)
        return done | {"signed_at": case.to_dict()["submitted_at"], "practice": case.link}
    decisions, work = decisions_of(request), work_of(request)
    decisions.prepare(user, study, template)
    drafted = reports_of(request).get(writing(request, user, study), study, template)
    levels = proposals_of(request).levels(
        user, study, drafted.report.template, drafted.report.items, drafted.hidden
    )

    queries_of(request).follow(user, study, template, drafted.doubts)
    require_stored(findings_of(request).of_study(study, writer.name), sources_of(drafted.report.items))

    def also(connection: sa.Connection, version: ReportVersion) -> None:
        require_no_open(connection, user.name, study, template)
        decisions.check(connection, user, version)
        work.close(connection, user, study, template)

    state = reports_of(request).sign(
        user, study, template, based_on, client_of(request), levels=levels, also=also
    )
    try:
        published_of(request).file(user, study, template, made_objects(request))
    except RacoonError as error:
        # Signed is signed; filing can be asked for again.
        logger.warning("report.not_filed", extra={"code": error.code})
    return describe_report(request, state)


@router.get("/proposals")
def list_proposals(
    request: Request,
    study: Uid,
    user: Author,
    template: TemplateUrl = DEFAULT_TEMPLATE,
    list_name: Annotated[str, Query(alias="list", max_length=80)] = "",
) -> dict[str, Any]:
    """List the automatic values that the list's protocol proposes as answers, with where each comes from."""
    task = work_of(request).task_of(user, study, list_name)
    protocol = protocols_of(request).get(task.protocol) if task and task.protocol else None
    form = reports_of(request).get(writing(request, user, study), study, template).report.template
    found = proposals_of(request).offer(user, study, form, protocol)
    kinds = {item.link_id: item for item in form.walk()}
    language = language_of(request)
    return {
        "proposals": [
            {
                "path": proposal.path,
                "answer": answer_to_fhir(kinds[proposal.path.rpartition("/")[2]].kind, proposal.answer),
                "text": say_answer(kinds[proposal.path.rpartition("/")[2]], proposal.answer, language),
                "state": proposal.state,
                "source": proposal.source,
            }
            for proposal in found
        ]
    }


@router.post("/proposals")
def decide_proposal(
    request: Request,
    study: Uid,
    user: Author,
    path: Annotated[str, Query(max_length=200)],
    template: TemplateUrl = DEFAULT_TEMPLATE,
    *,
    accept: bool,
) -> dict[str, Any]:
    """Accept or reject what is proposed for a question; the answer itself is saved with the form."""
    form = reports_of(request).get(writing(request, user, study), study, template).report.template
    proposals_of(request).decide(user, study, form, path, accept=accept)
    return {"path": path, "accepted": accept}


@router.post("/file")
def file_report(
    request: Request, study: Uid, user: Author, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Store the newest signed version as DICOM SR, where that did not work at the signature."""
    return published_of(request).file(user, study, template, made_objects(request)).to_dict()


@router.post("/amend")
def amend_report(
    request: Request, study: Uid, user: Author, reason: Words, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Open a signed report again; the signed version stays."""
    return describe_report(
        request, reports_of(request).amend(user, study, template, reason, client_of(request))
    )


@router.post("/addendum")
def add_to_report(
    request: Request, study: Uid, user: Author, text: Words, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """Add words to a signed report; they are signed with it."""
    return describe_report(request, reports_of(request).add(user, study, template, text, client_of(request)))


@router.get("/versions")
def list_versions(
    request: Request, study: Uid, user: Author, template: TemplateUrl = DEFAULT_TEMPLATE
) -> dict[str, Any]:
    """List what the reader signed, the oldest first."""
    return {"versions": [item.to_dict() for item in published_of(request).versions(user, study, template)]}


@router.get("/document", include_in_schema=False)
def show_document(
    request: Request,
    study: Uid,
    user: Author,
    template: TemplateUrl = DEFAULT_TEMPLATE,
    version: VersionNumber = 0,
    report: ReportId = "",
) -> Response:
    """Show a signed report as a page to read and to print, in the language of the page."""
    paper = _paper(request, study, user, template, version, language_of(request), report)
    query = urlencode({"template": template} | ({"report": report} if report else {}))
    return render(request, "node/reading/report.html", paper=paper, query=query, origins=ORIGINS)


@router.get("/document.pdf")
def read_pdf(
    request: Request,
    study: Uid,
    user: Author,
    template: TemplateUrl = DEFAULT_TEMPLATE,
    version: VersionNumber = 0,
    language: Annotated[Literal["", "de", "en"], Query(description="Else the language of the page")] = "",
    report: ReportId = "",
) -> Response:
    """Return a signed report as a PDF file with what the page shows."""
    chosen = language or language_of(request)
    paper = _paper(request, study, user, template, version, chosen, report)
    data = write_pdf(
        paper,
        words_of(chosen),
        lambda moment: say_time(chosen, moment),
        str(request.base_url).rstrip("/"),
    )
    name = f"report-{paper.report.report_id[:8]}-{paper.report.version}-{chosen}.pdf"
    return Response(
        data,
        media_type="application/pdf",
        headers={"Content-Disposition": f'inline; filename="{name}"', "Cache-Control": "no-store"},
    )


def _paper(
    request: Request, study: str, user: User, template: str, version: int, language: str, report: str
) -> Paper:
    published = published_of(request)
    versions = (
        published.of_report(user, study, template, report, sight_of(request, user))
        if report
        else published.versions(user, study, template)
    )
    with request.app.state.database.connect() as connection:
        return paper_of(
            versions,
            forms_of(request),
            version,
            language,
            lambda form, at: level_of(form, connection, at),
            decisions_of(request).of_report,
        )
