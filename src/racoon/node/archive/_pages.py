"""The archive browser: imaging studies with thumbnails, filters and keyset paging."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from racoon.node.archive._requests import Searcher, access_of, archive_of
from racoon.node.archive.model import StudyFilter
from racoon.standards.dicom.quality import RULES
from racoon.web.pages import render

router = APIRouter(include_in_schema=False)

PAGE_SIZE = 25

SEVERITIES = ("error", "warning", "note")

Text = Annotated[str, StringConstraints(max_length=64, strip_whitespace=True)]
Day = Annotated[str, StringConstraints(max_length=10)]


class Filters(BaseModel):
    """What the browser is asked for; empty fields match all."""

    modality: Text = ""
    body_part: Text = ""
    subject: Text = ""
    kind: Text = ""
    contrast: Text = ""
    plane: Text = ""
    quality: Text = ""
    day_from: Day = ""
    day_to: Day = ""
    dose_from: Text = ""
    dose_to: Text = ""
    before: Annotated[int | None, Field(ge=0)] = None

    def criteria(self, limit: int) -> StudyFilter:
        """Give what the archive is asked for."""
        return StudyFilter(
            self.modality,
            self.body_part,
            self.subject,
            self.before,
            limit,
            kind=self.kind,
            contrast=self.contrast,
            plane=self.plane,
            worst=self.quality,
            dlp_from_mgy_cm=_number(self.dose_from),
            dlp_to_mgy_cm=_number(self.dose_to),
            day_from=self.day_from.replace("-", ""),
            day_to=self.day_to.replace("-", ""),
        )


RULE_OF_CODE = {rule.code: rule for rule in RULES}


@router.get("/archive")
def browse(request: Request, user: Searcher, filters: Annotated[Filters, Query()]) -> Response:
    """Show imaging studies, newest first."""
    archive, access = archive_of(request), access_of(request)
    chosen = filters.model_dump(exclude={"before"})
    criteria = filters.criteria(PAGE_SIZE + 1)
    studies = archive.browse(criteria, access.condition(user) if access else None)
    kept = {name: value for name, value in chosen.items() if value}
    more = len(studies) > PAGE_SIZE
    return render(
        request,
        "node/archive/browse.html",
        studies=studies[:PAGE_SIZE],
        choices=archive.filter_choices(),
        severities=SEVERITIES,
        rules=RULE_OF_CODE,
        chosen=chosen,
        is_filtered=bool(kept),
        counts=archive.counts(),
        first_page=f"/archive?{urlencode(kept)}" if filters.before is not None else "",
        next_page=f"/archive?{urlencode(kept | {'before': studies[PAGE_SIZE - 1].position})}" if more else "",
    )


def _number(text: str) -> float | None:
    """Read a number as people type it; what is none does not filter."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return value if value >= 0 else None
