"""Filled forms for each site from one application: pages, PDF and JSON, German and English."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from starlette.responses import JSONResponse, Response

from racoon.central.portal.views import Rooms, page
from racoon.central.studies.forms import SiteForm, site_form
from racoon.central.studies.model import StudyDefect
from racoon.platform.auth import User, require
from racoon.web.pages import RESEARCH_USE, say_day
from racoon.web.sheets import Block, Sheet, write_sheet
from racoon.web.translation import language_of, translations
from racoon.web.words import words_of

Reader = Annotated[User, Depends(require("study.read"))]
Language = Annotated[Literal["de", "en"] | None, Query()]

APPLICATION = "application"
"""In the place of a site's code: the application itself, for nobody in particular."""


class NotAsked(StudyDefect):
    """The site was not asked for this study."""

    code = "study.not_asked"
    status = 404


def routes(rooms: Rooms) -> APIRouter:
    """Make the routes."""
    routes = APIRouter()

    def form_of(study_id: str, code: str, language: str) -> SiteForm:
        with rooms.database.connect() as connection:
            study = rooms.studies.study(connection, study_id)
            deadline = rooms.studies.vote_deadline(connection, study_id)
            matrix = {row.site: row for row in rooms.studies.matrix(connection, study_id)}
            names = {site.code: site for site in rooms.sites.sites(connection)}
        say = words_of(language)
        if code == APPLICATION:
            return site_form(study, None, language=language, say=say, deadline=deadline)
        if code not in matrix:
            raise NotAsked("This site was not asked for this study.")
        site = names.get(code)
        return site_form(
            study,
            matrix[code],
            language=language,
            say=say,
            name=site.name if site else "",
            city=site.city if site else "",
            deadline=deadline,
        )

    @routes.get("/api/studies/{study_id}/forms/{site}", tags=["studies"])
    def show_form(
        study_id: str, site: str, request: Request, _user: Reader, lang: Language = None
    ) -> JSONResponse:
        """Return the filled form of a site; ``application`` in its place is the application itself."""
        form = form_of(study_id, site, lang or language_of(request))
        return JSONResponse(form.to_dict(), headers=_as_file(form, "json"))

    @routes.get(
        "/api/studies/{study_id}/forms/{site}/pdf",
        tags=["studies"],
        response_class=Response,
        responses={200: {"content": {"application/pdf": {}}}, 501: {"description": "No PDF library."}},
    )
    def show_pdf(
        study_id: str, site: str, request: Request, _user: Reader, lang: Language = None
    ) -> Response:
        """Return the filled form of a site as a PDF file."""
        form = form_of(study_id, site, lang or language_of(request))
        data = write_sheet(sheet_of(form))
        return Response(data, media_type="application/pdf", headers=_as_file(form, "pdf"))

    @routes.get("/studies/{study_id}/forms", include_in_schema=False)
    def list_forms(study_id: str, request: Request, _user: Reader) -> Response:
        """List the forms of all sites that were asked."""
        with rooms.database.connect() as connection:
            study = rooms.studies.study(connection, study_id)
            matrix = rooms.studies.matrix(connection, study_id)
            names = {site.code: site for site in rooms.sites.sites(connection)}
        return page(request, "forms.html", study=study, matrix=matrix, names=names)

    @routes.get("/studies/{study_id}/forms/{site}", include_in_schema=False)
    def show_page(study_id: str, site: str, request: Request, _user: Reader) -> Response:
        """Show the filled form of a site, for reading and printing."""
        return page(request, "form.html", form=form_of(study_id, site, language_of(request)))

    return routes


def sheet_of(form: SiteForm) -> Sheet:
    """Put a form on paper."""
    say, words = translations(form.language).gettext, words_of(form.language)
    study = form.study
    facts = [
        (say("Study"), study.study_id),
        (say("State"), words(study.state)),
        (say("Version"), study.hash),
    ]
    if form.deadline:
        facts.append((say("Deadline for votes"), say_day(form.language, form.deadline)))
    blocks = [Block(say("Study"), facts)]
    if form.site:
        place = [(say("Site"), form.site), (say("Name"), form.site_name), (say("City"), form.city)]
        blocks.append(Block(say("Site"), [*place, (say("Stands at"), form.state)]))
    blocks += [
        Block(section.title, [(item.question, item.answer) for item in section.answers])
        for section in form.sections
    ]
    if form.steps:
        second = say("Four eyes: another person than the one who took the step before.")
        rows = [
            (
                f"{step.name} ({', '.join(step.roles)})",
                "\n".join(
                    [
                        *(f"{name}: " + "_" * 34 for name in step.hands_in),
                        *([second] if step.four_eyes else []),
                        f"{say('Date, signature')}: " + "_" * 30,
                    ]
                ),
            )
            for step in form.steps
        ]
        blocks.append(Block(say("What this site decides"), rows))
    return Sheet(
        title=study.definition.title,
        subtitle=f"{form.site_name or form.site}, {form.city}".strip(", ")
        if form.site
        else say("Application"),
        lead=[study.definition.lay_summary, words(RESEARCH_USE)],
        blocks=blocks,
        foot=f"{study.study_id} · {study.hash[:16]}" + (f" · {form.site}" if form.site else ""),
        page_word=say("Page"),
        language=form.language,
    )


def _as_file(form: SiteForm, ending: str) -> dict[str, str]:
    name = f"{form.study.study_id}-{form.site or APPLICATION}-{form.language}.{ending}"
    return {"Content-Disposition": f'attachment; filename="{name}"'}
