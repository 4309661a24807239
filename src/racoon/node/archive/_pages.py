"""The archive browser: imaging studies with thumbnails, filters and keyset paging."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from racoon.node.archive._requests import Searcher, access_of, archive_of
from racoon.node.archive.model import StudyFilter
from racoon.web.pages import render

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 25

Text = Annotated[str, Query(max_length=64)]


@router.get("/archive")
def browse(
    request: Request,
    user: Searcher,
    modality: Text = "",
    body_part: Text = "",
    subject: Text = "",
    before: Annotated[int | None, Query(ge=0)] = None,
) -> Response:
    """Show imaging studies, newest first."""
    archive, access = archive_of(request), access_of(request)
    criteria = StudyFilter(modality, body_part, subject.strip(), before, PAGE_SIZE + 1)
    studies = archive.browse(criteria, access.condition(user) if access else None)
    modalities, body_parts = archive.filter_choices()
    chosen = {"modality": modality, "body_part": body_part, "subject": subject}
    kept = {name: value for name, value in chosen.items() if value}
    more = len(studies) > PAGE_SIZE
    return render(
        request,
        "node/archive/browse.html",
        studies=studies[:PAGE_SIZE],
        modalities=modalities,
        body_parts=body_parts,
        chosen=chosen,
        is_filtered=bool(kept),
        counts=archive.counts(),
        first_page=f"/archive?{urlencode(kept)}" if before is not None else "",
        next_page=f"/archive?{urlencode(kept | {'before': studies[PAGE_SIZE - 1].position})}" if more else "",
    )
