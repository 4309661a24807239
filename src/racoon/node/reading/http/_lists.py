"""Reading lists for those who run a study: made from a dataset and a protocol, progress, handing cases over."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Form, Path, Request
from pydantic import BaseModel, Field
from starlette.responses import RedirectResponse, Response

from racoon.domain.reading_protocol import ReadingProtocol
from racoon.errors import RacoonError
from racoon.node.reading.adjudication.model import MaskAgreement
from racoon.node.reading.http._agreement import sees_agreement
from racoon.node.reading.http._choices import template_choices
from racoon.node.reading.http._people import (
    readers_of,
    require_calibrated,
    require_no_practice,
    require_reader,
)
from racoon.node.reading.http._rooms import Uid, decisions_of, newest_form, protocols_of, queries_of, work_of
from racoon.node.reading.proposals.model import path_of
from racoon.node.reading.protocols.service import Chosen
from racoon.node.reading.work.model import (
    ADJUDICATE,
    READ,
    Assignment,
    BadAssignment,
    NoSuchTask,
    ReadingTask,
)
from racoon.platform.auth import User, require
from racoon.web.pages import render
from racoon.web.translation import language_of

router = APIRouter()

Planner = Annotated[User, Depends(require("reading.assign"))]
Reader = Annotated[User, Depends(require("report.write"))]
ListName = Annotated[str, Path(min_length=1, max_length=80)]
Short = Annotated[str, Field(max_length=80)]
Field80 = Annotated[str, Form(max_length=80)]


class NewList(BaseModel):
    """A list from a protocol and the dataset that is frozen for a research study."""

    protocol: Short
    study: Short
    readers: Annotated[list[Short], Field(max_length=50)]
    adjudicator: Short = ""
    priority: Annotated[int, Field(ge=0, le=9)] = 0
    due_on: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""


class ListForm(NewList):
    """The same from the page: first a look at what it would hold, then the list."""

    name: Short = ""
    protocol: Short = ""
    study: Short = ""
    readers: Annotated[list[Short], Field(max_length=50)] = []
    step: Literal["look", "make"] = "look"


class HandOver(BaseModel):
    """Who gives an unfinished case to whom."""

    reader: Short
    to: Short


@dataclass(frozen=True)
class CaseLine:
    """One case of a list: its tasks, how the masks agree, and whether it is decided."""

    readings: list[ReadingTask]
    decision: ReadingTask | None
    masks: list[MaskAgreement]


def _choose(request: Request, protocol: ReadingProtocol, study_id: str) -> Chosen:
    series = request.app.state.series_of_study(study_id)
    return protocols_of(request).choose(protocol, series)


def _make(request: Request, user: User, name: str, wanted: NewList) -> dict[str, Any]:
    protocol = protocols_of(request).get(wanted.protocol)
    for person in (*wanted.readers, *([wanted.adjudicator] if wanted.adjudicator else ())):
        require_reader(request, person)
    for person in wanted.readers:
        require_calibrated(request, protocol.calibration, person)
    if protocol.adjudication != bool(wanted.adjudicator):
        raise BadAssignment(
            "The protocol asks for a person who decides."
            if protocol.adjudication
            else "The protocol asks for no person who decides."
        )
    chosen = _choose(request, protocol, wanted.study)
    if not chosen.series:
        raise BadAssignment("No series of the dataset is what the protocol asks for.")
    for facts in chosen.series:
        for person in wanted.readers:
            require_no_practice(request, person, facts.imaging_study_uid)
    assignment = Assignment(
        list_name=name,
        template_url=protocol.template,
        series_uids=tuple(facts.series_uid for facts in chosen.series),
        readers=tuple(dict.fromkeys(wanted.readers)),
        is_blinded=protocol.blinded_to_readers,
        priority=wanted.priority,
        due_on=wanted.due_on,
        adjudicator=wanted.adjudicator,
        readers_per_case=protocol.readers,
        is_random=protocol.order == "random",
        hides_machines=protocol.blinded_to_machines,
        protocol=protocol.key,
        hides_names=protocol.blinded_to_names,
    )
    added = work_of(request).assign(user, assignment)
    return {"added": added, "cases": len(chosen.series), "left_out": list(chosen.left_out)}


def _require_fit(request: Request, name: str, study: str, to: str) -> None:
    """Refuse to hand a case to somebody who may not read it.

    Raises
    ------
    BadAssignment, NoSuchList
    """
    require_reader(request, to, study)
    require_no_practice(request, to, study)
    protocol = work_of(request).tasks(name)[0].protocol
    if protocol:
        require_calibrated(request, protocols_of(request).get(protocol).calibration, to)


@router.get("/reading/lists", include_in_schema=False)
def show_lists(request: Request, user: Planner) -> Response:
    """Show all reading lists with their progress, and all protocols."""
    work = work_of(request)
    lists = []
    for name in work.names():
        tasks = work.tasks(name)
        readings = [task for task in tasks if task.duty == READ]
        lists.append(
            {
                "name": name,
                "link": f"/reading/lists/{quote(name, safe='')}",
                "protocol": tasks[0].protocol,
                "cases": len({task.imaging_study_uid for task in tasks}),
                "done": sum(task.done_at is not None for task in readings),
                "all": len(readings),
                "is_blinded": tasks[0].is_blinded,
            }
        )
    return render(
        request,
        "node/reading/lists.html",
        lists=lists,
        protocols=protocols_of(request).all(),
        templates={item.url: item for item in template_choices(request)},
    )


@router.get("/reading/lists/new", include_in_schema=False)
def show_new_list(request: Request, user: Planner) -> Response:
    """Show the form that makes a list."""
    return _form(request, ListForm().model_dump())


@router.post("/reading/lists/new", include_in_schema=False)
def make_from_form(request: Request, user: Planner, form: Annotated[ListForm, Form()]) -> Response:
    """Say what the list would hold, or make it."""
    given, name = form.model_dump(), form.name.strip()
    try:
        if form.step == "look":
            chosen = _choose(request, protocols_of(request).get(form.protocol), form.study)
            return _form(request, given, chosen=chosen)
        if not name:
            raise BadAssignment("A reading list needs a name, series and readers.")
        _make(request, user, name, form)
    except RacoonError as error:
        return _form(request, given, problem=error.public_message)
    return RedirectResponse(f"/reading/lists/{quote(name, safe='')}", status_code=303)


def _form(
    request: Request, given: dict[str, Any], *, chosen: Chosen | None = None, problem: str = ""
) -> Response:
    return render(
        request,
        "node/reading/list_new.html",
        status_code=400 if problem else 200,
        given=given,
        chosen=chosen,
        problem=problem,
        studies=list(request.app.state.study_choices()),
        protocols=protocols_of(request).all(),
        templates={item.url: item for item in template_choices(request)},
        people=readers_of(request),
    )


@router.get("/reading/lists/{name}", include_in_schema=False)
def show_list(request: Request, name: ListName, user: Planner) -> Response:
    """Show how far a list is: readers, cases, agreement; and the way to hand a case over."""
    return _list_page(request, name, user)


def _list_page(request: Request, name: str, user: User, problem: str = "") -> Response:
    work, decisions = work_of(request), decisions_of(request)
    sees = sees_agreement(request, user, name)
    by_case: dict[str, list[ReadingTask]] = defaultdict(list)
    for task in work.tasks(name):
        by_case[task.imaging_study_uid].append(task)
    cases = [
        CaseLine(
            sorted((task for task in tasks if task.duty == READ), key=lambda task: task.reader),
            next((task for task in tasks if task.duty == ADJUDICATE), None),
            decisions.mask_agreement(tasks) if sees else [],
        )
        for tasks in by_case.values()
    ]
    return render(
        request,
        "node/reading/list.html",
        status_code=400 if problem else 200,
        name=name,
        link=f"/reading/lists/{quote(name, safe='')}",
        cases=cases,
        progress=work.progress(name),
        sees=sees,
        times=work.times(name),
        queries=_queries(request, work.tasks(name)) if sees else [],
        questions=_questions(request, work.tasks(name)),
        people=readers_of(request),
        problem=problem,
    )


def _queries(request: Request, tasks: list[ReadingTask]) -> list[dict[str, Any]]:
    form = newest_form(request, tasks[0].template_url)
    return [item.to_dict(form, language_of(request)) for item in queries_of(request).of_tasks(tasks)]


def _questions(request: Request, tasks: list[ReadingTask]) -> list[tuple[str, str]]:
    """List path and words of the questions that a query may be asked at."""
    form, language = newest_form(request, tasks[0].template_url), language_of(request)
    paths = ((item, path_of(form, item.link_id)) for item in form.walk() if item.is_question)
    return [(path, item.words.in_language(language)) for item, path in paths if path is not None]


@router.post("/reading/lists/{name}/hand-over", include_in_schema=False)
def hand_over_from_form(
    request: Request, name: ListName, user: Planner, study: Field80, reader: Field80, to: Field80 = ""
) -> Response:
    """Give an unfinished case to another reader."""
    try:
        _require_fit(request, name, study, to)
        work_of(request).hand_over(user, name, study, reader, to)
    except RacoonError as error:
        return _list_page(request, name, user, error.public_message)
    return RedirectResponse(f"/reading/lists/{quote(name, safe='')}", status_code=303)


@router.post("/api/reading/worklists/{name}/from-protocol")
def make_list(request: Request, name: ListName, user: Planner, wanted: NewList) -> dict[str, Any]:
    """Make a list from a protocol and a dataset; answers with what was added and which studies were left out."""
    return _make(request, user, name, wanted)


@router.post("/api/reading/worklists/{name}/cases/{study}/hand-over")
def hand_case_over(
    request: Request, name: ListName, study: Uid, user: Planner, people: HandOver
) -> dict[str, int]:
    """Give an unfinished case to another reader, with what was begun."""
    _require_fit(request, name, study, people.to)
    return work_of(request).hand_over(user, name, study, people.reader, people.to)


@router.post("/reading/worklist/hand-over", include_in_schema=False)
def hand_own_case_over(
    request: Request, user: Reader, list_name: Field80, study: Field80, to: Field80 = ""
) -> Response:
    """Give an own unfinished case to another reader."""
    if not any(task.imaging_study_uid == study for task in work_of(request).mine(user)):
        raise NoSuchTask("This person has no such task.")
    _require_fit(request, list_name, study, to)
    work_of(request).hand_over(user, list_name, study, user.name, to)
    return RedirectResponse("/reading/worklist", status_code=303)
