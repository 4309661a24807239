"""Render a template in the asker's language, with what every page shows."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.responses import HTMLResponse, Response
from starlette.staticfiles import StaticFiles

from racoon.domain.permission import is_permitted
from racoon.platform.auth import optional_user
from racoon.web.languages import COOKIE, LANGUAGES, language_of, number_format, time_format, translator


@dataclass(frozen=True)
class NavigationEntry:
    """One entry of a role's main menu.

    Parameters
    ----------
    path
        Where it leads.
    title
        English title; translated when shown.
    action
        Key of the permission table; the entry is shown to those who may do it.
    """

    path: str
    title: str
    action: str


@functools.cache
def environment() -> Environment:
    """Build the template environment: everything escaped, an unknown name is an error."""
    return Environment(
        loader=PackageLoader("racoon.web", "templates"),
        autoescape=select_autoescape(default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def install_pages(app: FastAPI, *, title: str, navigation: tuple[NavigationEntry, ...]) -> None:
    """Give an application its static files, menu and the login page.

    Parameters
    ----------
    app
        The role's application.
    title
        Name of this server for people.
    navigation
        Main menu.
    """
    app.state.page_title = title
    app.state.navigation = navigation
    folder = Path(str(files("racoon.web"))) / "static"
    app.mount("/static", StaticFiles(directory=folder), name="static")

    @app.get("/login", include_in_schema=False)
    def login(request: Request) -> Response:
        return render(request, "login.html", next_path=_local_path(request.query_params.get("next", "/")))


def render(request: Request, template: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
    """Render a page.

    Parameters
    ----------
    request
        The asker's request; decides language, menu and who is signed in.
    template
        Path below ``templates/``.
    status_code
        HTTP status.
    **context
        Names for the template.
    """
    language = language_of(request)
    user = optional_user(request)
    place = request.app.state.accounts.role
    navigation = [
        entry
        for entry in request.app.state.navigation
        if user is not None and is_permitted(place, user.roles, entry.action)
    ]
    text = (
        environment()
        .get_template(template)
        .render(
            request=request,
            _=translator(language),
            number=number_format(language),
            time=time_format(language),
            language=language,
            languages=LANGUAGES,
            user=user,
            navigation=navigation,
            page_title=request.app.state.page_title,
            place=place,
            static=static_url,
            **context,
        )
    )
    response = HTMLResponse(text, status_code=status_code)
    if request.query_params.get("lang") in LANGUAGES:
        response.set_cookie(COOKIE, language, max_age=31_536_000, samesite="strict", httponly=True)
    return response


@functools.cache
def static_url(name: str) -> str:
    """Return the address of a static file with its content in it, so that caches never show an old one."""
    content = (files("racoon.web") / "static" / name).read_bytes()
    return f"/static/{name}?v={hashlib.sha256(content).hexdigest()[:12]}"


def _local_path(text: str) -> str:
    # Only a path on this server: "//evil.example" would be another host.
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) else "/"
