"""The page of neighbouring networks: lists taken and given, codes beside ours, and the rows that were refused.

It expects ``app.state.neighbours``.  Counts, codes and lines only; the file that is given is made when it is asked for.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request
from fastapi import Form as Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from racoon.errors import Defect, Refused
from racoon.node.clinical.neighbours.desk import NeighbourDesk
from racoon.node.clinical.neighbours.lists import REASONS
from racoon.node.clinical.neighbours.model import parse_list_mapping
from racoon.node.clinical.uploads import Uploaded, read_form
from racoon.platform.auth import User, require
from racoon.web.pages import render

router = APIRouter(prefix="/intake/neighbours", include_in_schema=False)

Partner = Annotated[User, Depends(require("neighbour.exchange"))]
Form = Annotated[Uploaded, Depends(read_form)]

NO_LIST = "Choose the network's list first."
NO_MAPPING = "A list of a new project needs its mapping."
SENTENCES = (NO_LIST, NO_MAPPING)


@router.get("")
def show_neighbours(request: Request, user: Partner) -> Response:
    """Show every project with its last exchanges."""
    return _page(request)


@router.post("/take")
async def take_list(request: Request, user: Partner, form: Form) -> Response:
    """Take a list in the place of the one before."""
    return await run_in_threadpool(_take, request, user, form)


@router.post("/give")
def give_list(request: Request, user: Partner, project: Annotated[str, Field(max_length=80)]) -> Response:
    """Give the list back as a file."""
    desk: NeighbourDesk = request.app.state.neighbours
    try:
        text, _ = desk.give(desk.mapping_of(project), actor=user.name, actor_role=user.main_role)
    except (Defect, Refused) as error:
        return _page(request, problem=error.public_message)
    headers = {"content-disposition": f'attachment; filename="{project}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _take(request: Request, user: User, form: Uploaded) -> Response:
    desk: NeighbourDesk = request.app.state.neighbours
    project, written = form.fields.get("project", ""), form.files.get("mapping", b"")
    if not form.files.get("table"):
        return _page(request, problem=NO_LIST)
    if not (written or project):
        return _page(request, problem=NO_MAPPING)
    try:
        mapping = parse_list_mapping(written) if written else desk.mapping_of(project)
        report = desk.take(form.files["table"], mapping, actor=user.name, actor_role=user.main_role)
    except (Defect, Refused) as error:
        return _page(request, problem=error.public_message)
    return _page(request, taken=report["project"])


def _page(request: Request, *, problem: str = "", taken: str = "") -> Response:
    desk: NeighbourDesk = request.app.state.neighbours
    projects = desk.projects()
    refused = {
        item.mapping.project: [
            row | {"sentence": REASONS.get(row["reason"].partition(" ")[0], row["reason"])}
            for row in (item.taken.refused if item.taken else [])
        ]
        for item in projects
    }
    return render(
        request,
        "node/intake/neighbours.html",
        status_code=400 if problem else 200,
        projects=projects,
        refused=refused,
        own_code=desk.site,
        problem=problem,
        taken=taken,
    )
