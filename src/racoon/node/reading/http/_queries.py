"""Queries at fields of reports as JSON, and the forms of the list's page."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Form, Path, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.node.reading.http._rooms import (
    Uid,
    newest_form,
    queries_of,
    reports_of,
    require_sight,
    work_of,
    writing,
)
from racoon.node.reading.practice.service import is_practice
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.node.reading.work.model import NoSuchTask, ReadingTask
from racoon.platform.auth import User, require
from racoon.web.translation import language_of

router = APIRouter()

Author = Annotated[User, Depends(require("report.write"))]
Monitor = Annotated[User, Depends(require("reading.assign"))]
QueryId = Annotated[str, Path(pattern=r"^[0-9a-f-]{36}$")]
ListName = Annotated[str, Path(min_length=1, max_length=80)]
Text = Annotated[str, Body(embed=True, max_length=600)]
Field = Annotated[str, Form(max_length=600)]


@router.get("/api/reading/imaging-studies/{study}/report/queries")
def list_queries(
    request: Request,
    study: Uid,
    user: Author,
    template: Annotated[str, Query(max_length=200)] = DEFAULT_TEMPLATE,
) -> dict[str, Any]:
    """List what edit checks and monitors ask at the reader's own report."""
    require_sight(request, user, study)
    if is_practice(writing(request, user, study)):
        return {"queries": []}
    state = reports_of(request).get(user, study, template)
    if state.report.is_signed:
        found = queries_of(request).of_report(user, study, template)
    else:
        found = queries_of(request).follow(user, study, template, state.doubts)
    form, language = state.report.template, language_of(request)
    return {"queries": [item.to_dict(form, language) for item in found if item.state != "closed"]}


@router.post("/api/reading/queries/{query_id}/answer")
def answer_query(request: Request, query_id: QueryId, user: Author, text: Text) -> dict[str, Any]:
    """Answer what is asked at an own report."""
    query = queries_of(request).answer(user, query_id, text)
    return query.to_dict(newest_form(request, query.template_url), language_of(request))


@router.post("/api/reading/queries/{query_id}/close")
def close_query(request: Request, query_id: QueryId, user: Monitor) -> dict[str, Any]:
    """Close a monitor's query."""
    query = queries_of(request).close(user, query_id)
    return query.to_dict(newest_form(request, query.template_url), language_of(request))


@router.get("/api/reading/worklists/{name}/queries")
def list_queries_of_list(request: Request, name: ListName, user: Monitor) -> dict[str, Any]:
    """List all queries at the reports of a list, the newest first."""
    tasks = work_of(request).tasks(name)
    form, language = newest_form(request, tasks[0].template_url), language_of(request)
    return {"queries": [item.to_dict(form, language) for item in queries_of(request).of_tasks(tasks)]}


@router.post("/api/reading/worklists/{name}/queries")
def raise_query(
    request: Request,
    name: ListName,
    user: Monitor,
    study: Annotated[str, Body(max_length=64)],
    reader: Annotated[str, Body(max_length=80)],
    path: Annotated[str, Body(max_length=200)],
    text: Annotated[str, Body(max_length=600)],
) -> dict[str, Any]:
    """Ask a reader of a list something at a question."""
    query = queries_of(request).raise_query(user, _task(request, name, study, reader), path, text)
    return query.to_dict(newest_form(request, query.template_url), language_of(request))


def _task(request: Request, name: str, study: str, reader: str) -> ReadingTask:
    for task in work_of(request).tasks(name):
        if task.imaging_study_uid == study and task.reader == reader:
            return task
    raise NoSuchTask("This person has no such task.")


@router.post("/reading/lists/{name}/queries", include_in_schema=False)
def raise_from_form(
    request: Request, name: ListName, user: Monitor, case: Field, path: Field, text: Field
) -> Response:
    """Ask a reader something, from the list's page; ``case`` is imaging study and reader."""
    study, _, reader = case.partition(" ")
    queries_of(request).raise_query(user, _task(request, name, study, reader), path, text)
    return _back(name)


@router.post("/reading/lists/{name}/queries/{query_id}/close", include_in_schema=False)
def close_from_form(request: Request, name: ListName, query_id: QueryId, user: Monitor) -> Response:
    """Close a query from the list's page."""
    queries_of(request).close(user, query_id)
    return _back(name)


def _back(name: str) -> Response:
    return RedirectResponse(f"/reading/lists/{quote(name, safe='')}#queries", status_code=303)
