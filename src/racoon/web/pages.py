"""Render a template in the asker's language, with what every page shows.

A role's ``app`` calls :func:`install_pages` once; routes of contexts call :func:`render`.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from importlib.resources import files
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from babel import dates, numbers
from fastapi import FastAPI, Query, Request
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from racoon.domain.permission import is_permitted
from racoon.platform.auth import optional_user
from racoon.platform.http import Problem
from racoon.web.translation import LANGUAGE_COOKIE, LANGUAGES, language_of, translations
from racoon.web.words import tone, unit_text, words_of

STATIC_PATH = "/static"
HASHED_NAMES = ("vendor/cornerstone/assets/", "vendor/cornerstone/chunks/")
"""Folders of the bundled viewer whose file names hold a hash of their content."""

THEMES = ("auto", "dark", "light")
THEME_COOKIE = "racoon_theme"
A_YEAR_S = 31_536_000


@dataclass(frozen=True)
class Site:
    """Whose server this is, as the header shows it."""

    code: str
    name: str


@dataclass(frozen=True)
class NavigationItem:
    """One entry of a role's main menu.

    Parameters
    ----------
    path
        Where it leads.
    label
        English; translated when shown.
    action
        Key of the permission table; shown only to those who may do it.
    """

    path: str
    label: str
    action: str


def install_pages(
    app: FastAPI,
    *,
    site: Site,
    navigation: Sequence[NavigationItem] = (),
    home: str = "/",
    language: Literal["en", "de"] = "en",
) -> None:
    """Give an application the look of the house: static files, menu, sign-in page, preferences, error pages.

    Parameters
    ----------
    app
        The role's application; its accounts are installed.
    site
        Whose server this is.
    navigation
        Main menu.
    home
        Start page.
    language
        For browsers that ask for neither German nor English.
    """
    app.state.site = site
    app.state.navigation = tuple(navigation)
    app.state.home = home
    app.state.language = language
    app.state.render_problem = _problem_page
    app.mount(STATIC_PATH, _ImmutableFiles(packages=[("racoon.web", "static")]), name="static")

    @app.get("/login", include_in_schema=False)
    def sign_in(request: Request, next: str = "/", failed: str = "", step: str = "") -> Response:  # noqa: A002 -- name in the address
        return render(
            request,
            "login.html",
            next_path=local_path(next),
            failed=failed,
            step=step,
            providers=[provider.settings for provider in request.app.state.providers.values()],
        )

    @app.get("/preferences", include_in_schema=False)
    def preferences(
        next: str = "/",  # noqa: A002 -- name in the address
        language: Annotated[str, Query(max_length=8)] = "",
        theme: Annotated[str, Query(max_length=8)] = "",
    ) -> Response:
        response = RedirectResponse(local_path(next), status_code=303)
        for cookie, value, allowed in (
            (LANGUAGE_COOKIE, language, LANGUAGES),
            (THEME_COOKIE, theme, THEMES),
        ):
            if value in allowed:
                response.set_cookie(cookie, value, max_age=A_YEAR_S, samesite="lax", httponly=True)
        return response


def render(request: Request, template: str, *, status_code: int = 200, **context: Any) -> HTMLResponse:
    """Render a page.

    Parameters
    ----------
    request
        Decides language, theme, menu and who is signed in.
    template
        Path below ``racoon/web/templates``.
    status_code
        HTTP status.
    **context
        Names for the template.
    """
    language = language_of(request)
    user = optional_user(request)
    state = request.app.state
    place = state.accounts.role
    menu = [
        item
        for item in getattr(state, "navigation", ())
        if user is not None and is_permitted(place, user.roles, item.action)
    ]
    theme = request.cookies.get(THEME_COOKIE, "auto")
    address = urlsplit(str(request.url))
    text = (
        environment(language)
        .get_template(template)
        .render(
            request=request,
            language=language,
            theme=theme if theme in THEMES else "auto",
            user=user,
            place=place,
            site=getattr(state, "site", None),
            home=getattr(state, "home", "/"),
            navigation=menu,
            here=address.path + (f"?{address.query}" if address.query else ""),
            may=lambda action: user is not None and is_permitted(place, user.roles, action),
            **context,
        )
    )
    return HTMLResponse(text, status_code=status_code)


@functools.cache
def environment(language: str) -> Environment:
    """Return the template environment of a language: everything escaped, an unknown name is an error."""
    env = Environment(
        loader=PackageLoader("racoon.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    env.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]  # the extension adds this method
    env.globals["asset"] = asset
    env.globals["module"] = module
    env.globals["modules_below"] = modules_below
    env.globals["words"] = words_of(language)
    env.globals["tone"] = tone
    env.globals["unit_text"] = unit_text
    env.globals["say"] = functools.partial(_say, language)
    env.filters["number"] = functools.partial(_number, language)
    env.filters["time"] = functools.partial(_time, language)
    env.filters["size"] = functools.partial(_size, language)
    env.filters["span"] = functools.partial(_span, language)
    return env


@functools.cache
def asset(path: str) -> str:
    """Return the address of a static file with its content in it, so that no cache shows an old one."""
    data = files("racoon.web").joinpath("static", path).read_bytes()
    return f"{STATIC_PATH}/{path}?v={hashlib.sha256(data).hexdigest()[:12]}"


@functools.cache
def module_version() -> str:
    """Return the version of all script modules together."""
    root = files("racoon.web").joinpath("static")
    digest = hashlib.sha256()
    for path in modules_below("reading"):
        digest.update(path.encode() + b"\0" + root.joinpath(path).read_bytes())
    return f"v-{digest.hexdigest()[:12]}"


@functools.cache
def modules_below(folder: str) -> tuple[str, ...]:
    """Return the paths of all script modules in a folder of the static files and below, sorted."""
    found: list[str] = []
    for item in files("racoon.web").joinpath("static", folder).iterdir():
        inner = f"{folder}/{item.name}"
        if item.is_dir():
            found += modules_below(inner)
        elif item.name.endswith(".js"):
            found.append(inner)
    return tuple(sorted(found))


def module(path: str) -> str:
    """Return the address of a script module.

    The version stands before the path, so that what the module imports by a relative path has it too.
    """
    return f"{STATIC_PATH}/{module_version()}/{path}"


def local_path(text: str) -> str:
    """Return the path if it stays on this server, else the start page."""
    # "//evil.example" and "/\evil.example" would be other hosts.
    return text if text.startswith("/") and not text.startswith(("//", "/\\")) else "/"


class _ImmutableFiles(StaticFiles):
    """Static files; an address with a version in it never changes its content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        version, _, rest = path.partition("/")
        if version == module_version():
            path = rest
        response = await super().get_response(path, scope)
        if version == module_version() or _names_version(path, scope):
            response.headers["Cache-Control"] = f"public, max-age={A_YEAR_S}, immutable"
        return response


def _names_version(path: str, scope: Scope) -> bool:
    return b"v=" in scope.get("query_string", b"") or path.startswith(HASHED_NAMES)


def _problem_page(request: Request, problem: Problem) -> Response:
    return render(request, "problem.html", status_code=problem.status, problem=problem)


def _number(language: str, value: float | None, digits: int = 0) -> str:
    if value is None:
        return "–"
    pattern = "#,##0" + (f".{'0' * digits}" if digits else "")
    return str(numbers.format_decimal(value, format=pattern, locale=language))


def _say(language: str, sentence: str, **values: str) -> str:
    """Say a sentence that Python chose; plain text, so that the template escapes it and its values."""
    return words_of(language)(sentence) % values if values else words_of(language)(sentence)


def _size(language: str, count: float) -> str:
    """Write a number of bytes in the unit that fits."""
    unit, scale = next((pair for pair in SIZES if count >= pair[1]), SIZES[-1])
    return f"{_number(language, count / scale, 0 if count / scale >= 100 else 1)} {unit}"


SIZES = (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3))


def _span(language: str, days: float) -> str:
    """Write how long something took, in the unit that fits."""
    return str(dates.format_timedelta(timedelta(days=days), threshold=1.0, format="short", locale=language))


RESEARCH_USE = "For research use only. Not for diagnosis."

DATE_TIME = {"de": "dd.MM.y, HH:mm", "en": "d MMM y, HH:mm"}
DATE = {"de": "dd.MM.y", "en": "d MMM y"}


def say_time(language: str, value: datetime) -> str:
    """Say a moment in this server's time zone, for paper."""
    local = value.astimezone() if value.tzinfo else value
    return str(dates.format_datetime(local, DATE_TIME[language], tzinfo=local.tzinfo, locale=language))


def say_day(language: str, value: date) -> str:
    """Say a day in a language."""
    return str(dates.format_date(value, DATE[language], locale=language))


def _time(language: str, value: datetime | date | str | None) -> str:
    """Write a moment in this server's time zone; its exact time stands in the element."""
    if not value:
        return "–"
    if isinstance(value, str):
        value = datetime.fromisoformat(value)
    if not isinstance(value, datetime):
        return Markup('<time datetime="{0}">{1}</time>').format(value.isoformat(), say_day(language, value))
    local = value.astimezone() if value.tzinfo else value
    text = say_time(language, value)
    exact = local.isoformat(timespec="seconds")
    return Markup('<time datetime="{0}" title="{0}">{1}</time>').format(exact, text)
