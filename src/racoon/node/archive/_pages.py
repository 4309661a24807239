"""The archive browser: imaging studies with thumbnails, filters and keyset paging."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, Field, StringConstraints
from starlette.responses import Response

from racoon.node.archive._requests import Searcher, access_of, archive_of
from racoon.node.archive.model import ArchiveCounts, FilterChoices, StudyFilter
from racoon.node.archive.service import Archive
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


REMEMBERED_S = 10.0
"""What takes long to count in a large archive is shown as it was so long ago at most."""

SLOW_S = 0.03


@dataclass
class _Overview:
    """Counts and filter values of the whole archive; those of a small one are always fresh."""

    until_s: float = 0.0
    counts: ArchiveCounts | None = None
    choices: FilterChoices | None = None

    def of(self, archive: Archive) -> tuple[ArchiveCounts, FilterChoices]:
        """Give them, remembered only where asking for them was slow."""
        if self.counts is None or self.choices is None or time.monotonic() > self.until_s:
            began_s = time.monotonic()
            self.counts, self.choices = archive.counts(), archive.filter_choices()
            took_s = time.monotonic() - began_s
            self.until_s = began_s + REMEMBERED_S if took_s > SLOW_S else 0.0
        return self.counts, self.choices


RULE_OF_CODE = {rule.code: rule for rule in RULES}


@router.get("/archive")
def browse(request: Request, user: Searcher, filters: Annotated[Filters, Query()]) -> Response:
    """Show imaging studies, newest first."""
    archive, access = archive_of(request), access_of(request)
    chosen = filters.model_dump(exclude={"before"})
    criteria = filters.criteria(PAGE_SIZE + 1)
    with archive.database.connect() as connection:
        restriction = access.restriction(user, connection) if access else None
    studies = archive.browse(criteria, restriction, seen_by=user.name)
    kept = {name: value for name, value in chosen.items() if value}
    more = len(studies) > PAGE_SIZE
    if not hasattr(request.app.state, "archive_overview"):
        request.app.state.archive_overview = _Overview()
    counts, choices = request.app.state.archive_overview.of(archive)
    return render(
        request,
        "node/archive/browse.html",
        studies=studies[:PAGE_SIZE],
        choices=choices,
        severities=SEVERITIES,
        rules=RULE_OF_CODE,
        chosen=chosen,
        is_filtered=bool(kept),
        counts=counts,
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
