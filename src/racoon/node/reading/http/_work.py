"""The worklist of a reader as a page and as JSON; lists are made and compared by those who run a study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Request
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from racoon.node.reading.http._agreement import require_open_eyes
from racoon.node.reading.http._people import readers_of, require_no_practice
from racoon.node.reading.http._practice import open_cases
from racoon.node.reading.http._rooms import may_see, work_of
from racoon.node.reading.reports.choosing import DEFAULT_TEMPLATE
from racoon.node.reading.reports.table import write_csv, write_parquet
from racoon.node.reading.work.model import Assignment, ReadingTask
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter()

Reader = Annotated[User, Depends(require("report.write"))]
Assigner = Annotated[User, Depends(require("reading.assign"))]
ListName = Annotated[str, Path(min_length=1, max_length=80)]
Short = Annotated[str, Field(max_length=80)]


class NewTasks(BaseModel):
    """What is to be read by whom; see ``Assignment``."""

    series: Annotated[list[Annotated[str, Field(pattern=r"^[0-9.]{1,64}$")]], Field(max_length=10_000)]
    readers: Annotated[list[Short], Field(max_length=50)]
    template: Annotated[str, Field(max_length=200)] = DEFAULT_TEMPLATE
    blinded: bool = True
    priority: Annotated[int, Field(ge=0, le=9)] = 0
    due_on: Annotated[str, Field(pattern=r"^(\d{4}-\d{2}-\d{2})?$")] = ""
    adjudicator: Annotated[str, Field(max_length=80)] = ""


def _mine(request: Request, user: User) -> list[ReadingTask]:
    return [task for task in work_of(request).mine(user) if may_see(request, user, task.imaging_study_uid)]


@router.get("/reading/worklist", include_in_schema=False)
def show_worklist(request: Request, user: Reader) -> Response:
    """Show the reader's tasks, the next one first."""
    tasks = _mine(request, user)
    return render(
        request,
        "node/reading/worklist.html",
        tasks=tasks,
        done=sum(task.done_at is not None for task in tasks),
        practice=len(open_cases(request, user)),
        today=clock.now().date().isoformat(),
        people=[name for name in readers_of(request) if name != user.name],
    )


@router.get("/reading/worklist/next", include_in_schema=False)
def open_next(request: Request, user: Reader) -> Response:
    """Lead to the next case that is not read yet, or to the list when all are."""
    tasks = _mine(request, user)
    if practised := open_cases(request, user):
        return RedirectResponse(practised[0].link, status_code=303)
    task = next((task for task in tasks if task.done_at is None and not task.is_waiting), None)
    return RedirectResponse(task.link if task else "/reading/worklist", status_code=303)


@router.get("/api/reading/worklist")
def read_worklist(request: Request, user: Reader) -> dict[str, Any]:
    """Return the reader's tasks, the next one first."""
    return {"tasks": [task.to_dict() for task in _mine(request, user)]}


@router.post("/api/reading/worklists/{name}/tasks")
def assign_tasks(request: Request, name: ListName, user: Assigner, tasks: NewTasks) -> dict[str, int]:
    """Give series to readers; each gets them in an own random order, and what is there already stays."""
    assignment = Assignment(
        name,
        tasks.template,
        tuple(tasks.series),
        tuple(dict.fromkeys(tasks.readers)),
        tasks.blinded,
        tasks.priority,
        tasks.due_on,
        tasks.adjudicator,
    )
    for uid in assignment.series_uids:
        study = request.app.state.archive.series_row(uid).facts.imaging_study_uid
        for reader in assignment.readers:
            require_no_practice(request, reader, study)
    return {"added": work_of(request).assign(user, assignment)}


@router.get("/api/reading/worklists/{name}", dependencies=[Depends(require("reading.assign"))])
def read_progress(request: Request, name: ListName) -> dict[str, Any]:
    """Return how far each reader is."""
    found = work_of(request).progress(name)
    return {"readers": [{"reader": who, "done": done, "all": total} for who, (done, total) in found.items()]}


@router.get("/api/reading/worklists/{name}/answers")
def export_answers(
    request: Request,
    name: ListName,
    user: Assigner,
    form: Annotated[Literal["csv", "parquet", "json"], Query(alias="as")] = "csv",
) -> Response:
    """Export what the readers of a list signed, one row per answer, for use inside the hospital."""
    require_open_eyes(request, user, name)
    rows = work_of(request).answers(user, name)
    if form == "json":
        return JSONResponse({"answers": list(rows)})
    data = write_csv(rows) if form == "csv" else write_parquet(rows)
    media_type = "text/csv; charset=utf-8" if form == "csv" else "application/vnd.apache.parquet"
    headers = {"Content-Disposition": f'attachment; filename="answers.{form}"'}
    return Response(data, media_type=media_type, headers=headers)


@router.get("/api/reading/worklists/{name}/times", dependencies=[Depends(require("reading.assign"))])
def read_times(request: Request, name: ListName) -> dict[str, Any]:
    """Say how long a case took each reader, from opening to signing: medians over signed cases."""
    return {"readers": [item.to_dict() for item in work_of(request).times(name)]}
