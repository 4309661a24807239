"""The portfolio: all studies along time, cases against targets, and where each site stands in each study."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from markupsafe import Markup
from pydantic import BaseModel
from starlette.responses import Response

from racoon.central.portal.model import PortfolioRow, portfolio_row
from racoon.central.portal.views import Rooms, page
from racoon.central.studies.portfolio import (
    PortfolioMatrix,
    Timeline,
    overdue_sites,
    portfolio_matrix,
    timeline,
)
from racoon.domain.governance.reminding import OVERDUE_AFTER, REMIND_AFTER, REMIND_AGAIN
from racoon.platform import clock
from racoon.platform.auth import User, require
from racoon.web.gantt import Bar, Row, gantt_figure
from racoon.web.pages import say_day
from racoon.web.translation import language_of, translations
from racoon.web.words import tone, words_of

Reader = Annotated[User, Depends(require("study.read"))]


class SpanView(BaseModel):
    """A time in one state."""

    state: str
    start: datetime
    end: datetime
    days: float


class SiteStand(BaseModel):
    """Where one site stands."""

    site: str
    state: str
    since: datetime
    days: dict[str, float]
    waits_days: float | None
    is_overdue: bool


class StudyStand(BaseModel):
    """One study of the portfolio."""

    study_id: str
    title: str
    state: str
    spans: list[SpanView]
    planned_start: date | None
    planned_end: date | None
    deadline: date | None
    cases: int
    target_cases: int | None
    sites: list[SiteStand]


class Portfolio(BaseModel):
    """All studies, and the rules that sites are reminded by."""

    remind_after_days: int
    remind_again_days: int
    overdue_after_days: int
    studies: list[StudyStand]


def routes(rooms: Rooms) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    @routes.get("/api/portfolio", tags=["studies"])
    def show_portfolio(_user: Reader) -> Portfolio:
        """Return all studies with the time in each state, cases against targets and the sites' states."""
        rows, lines, _, stands = _load(rooms)
        return Portfolio(
            remind_after_days=REMIND_AFTER.days,
            remind_again_days=REMIND_AGAIN.days,
            overdue_after_days=OVERDUE_AFTER.days,
            studies=[
                StudyStand(
                    study_id=line.study.study_id,
                    title=line.study.definition.title,
                    state=line.study.state,
                    spans=[
                        SpanView(state=span.state, start=span.start, end=span.end, days=span.days)
                        for span in line.spans
                    ],
                    planned_start=line.planned_start,
                    planned_end=line.planned_end,
                    deadline=line.deadline,
                    cases=row.reached.cases,
                    target_cases=row.reached.target,
                    sites=[
                        SiteStand(**{name: getattr(site, name) for name in SiteStand.model_fields})
                        for site in stands[line.study.study_id]
                    ],
                )
                for row, line in zip(rows, lines, strict=True)
            ],
        )

    @routes.get("/portfolio", include_in_schema=False)
    def show_page(request: Request, _user: Reader) -> Response:
        """Show the portfolio."""
        rows, lines, matrix, stands = _load(rooms)
        late = {study_id: overdue_sites(sites) for study_id, sites in stands.items()}
        return page(
            request,
            "portfolio.html",
            rows=rows,
            lines=lines,
            matrix=matrix,
            late=late,
            figure_of_time=_figure(lines, language_of(request)),
            rules=(REMIND_AFTER.days, REMIND_AGAIN.days, OVERDUE_AFTER.days),
        )

    return routes


def _load(rooms: Rooms) -> tuple[list[PortfolioRow], list[Timeline], PortfolioMatrix, dict[str, list[Any]]]:
    now = clock.now()
    with rooms.database.connect() as connection:
        studies = rooms.studies.studies(connection)
        stands = {study.study_id: rooms.studies.matrix(connection, study.study_id) for study in studies}
        rows = [
            portfolio_row(
                study,
                rooms.studies.tracks(connection, study.study_id),
                rooms.analyses.frozen(connection, study.study_id),
                rooms.amendments.amendments(connection, study.study_id),
            )
            for study in studies
        ]
        lines = [
            timeline(
                study,
                rooms.studies.history(connection, study.study_id),
                now,
                rooms.studies.vote_deadline(connection, study.study_id),
            )
            for study in studies
        ]
    return rows, lines, portfolio_matrix((study, stands[study.study_id]) for study in studies), stands


def _figure(lines: list[Timeline], language: str) -> Markup:
    say, words = translations(language).gettext, words_of(language)
    rows = [
        Row(
            name=line.study.definition.title,
            link=f"/studies/{line.study.study_id}",
            bars=[
                Bar(
                    span.start.astimezone().date(),
                    span.end.astimezone().date(),
                    words(span.state),
                    tone(span.state),
                )
                for span in line.spans
            ],
            planned=(line.planned_start, line.planned_end),
            deadline=line.deadline,
        )
        for line in lines
    ]
    # Made here of escaped words and numbers alone.
    return Markup(  # noqa: S704
        gantt_figure(
            say("Studies along time"),
            rows,
            clock.now().astimezone().date(),
            language,
            planned=say("Planned"),
            deadline=say("Deadline for votes"),
            say_day=lambda day: say_day(language, day),
        )
    )
