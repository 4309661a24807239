"""Two routes per participant: away to the provider, and back with a code."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote

from fastapi import APIRouter, FastAPI, Query, Request
from starlette.responses import RedirectResponse, Response

from racoon.errors import RacoonError, Refused
from racoon.platform.auth.model import User
from racoon.platform.auth.oidc.provider import Provider, TokenRefused
from racoon.platform.auth.oidc.settings import ProviderSettings
from racoon.platform.auth.oidc.sign_in import LASTS, ExternalSignIn
from racoon.platform.auth.routes import local_path, record_refusal, record_session, set_session_cookie

router = APIRouter(include_in_schema=False)

ATTEMPT_COOKIE = "_attempt"
"""Behind the name of the session cookie: which browser began a sign-in."""


class NoSuchProvider(Refused):
    """No identity provider of this name is configured here."""

    code = "auth.no_such_provider"
    status = 404


def install(app: FastAPI, providers: Sequence[ProviderSettings], *, base_url: str, site: str | None) -> None:
    """Give an application the routes; see :func:`racoon.platform.auth.oidc.install_providers`."""
    app.state.providers = {settings.name: Provider(settings) for settings in providers}
    app.state.external = ExternalSignIn(app.state.accounts.role)
    app.state.own_address = base_url.rstrip("/")
    app.state.account_site = site
    app.include_router(router)


@router.get("/login/oidc/{provider}")
def go_to_provider(
    request: Request,
    provider: str,
    next: Annotated[str, Query(max_length=2000)] = "/",  # noqa: A002 -- the usual name of the parameter
) -> Response:
    """Send the browser to the provider."""
    state = request.app.state
    chosen = _provider(request, provider)
    target = local_path(next)
    try:
        attempt = chosen.begin(_return_address(request, provider))
    except RacoonError as error:
        return _failed(request, error, target)
    browser = secrets.token_urlsafe(32)
    state.external.remember(state.database, provider, attempt, browser=browser, target=target)
    response = RedirectResponse(attempt.address, status_code=303)
    response.set_cookie(
        state.session_cookie + ATTEMPT_COOKIE,
        browser,
        max_age=int(LASTS.total_seconds()),
        path="/login/oidc/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response


@router.get("/login/oidc/{provider}/return")
def come_back(
    request: Request,
    provider: str,
    code: Annotated[str, Query(max_length=4000)] = "",
    state: Annotated[str, Query(max_length=400)] = "",
    iss: Annotated[str, Query(max_length=400)] = "",
) -> Response:
    """Finish a sign-in at a provider: state once, code for a token, claims to roles, then our own session."""
    own = request.app.state
    chosen = _provider(request, provider)
    try:
        browser = request.cookies.get(own.session_cookie + ATTEMPT_COOKIE, "")
        returned = own.external.take(own.database, provider, state, browser=browser)
        # RFC 9207: with several providers one must not pass off another's code as its own.
        if not code or (iss and iss != chosen.settings.issuer):
            raise TokenRefused("The identity provider refused this sign-in. Begin it again.")
        claims = chosen.finish(
            code,
            nonce=returned.nonce,
            verifier=returned.verifier,
            return_to=_return_address(request, provider),
        )
        user: User = own.external.account(
            own.database,
            chosen.settings,
            claims,
            site=own.account_site,
            needs_second_factor=own.needs_second_factor,
        )
    except RacoonError as error:
        return _failed(request, error, "/")
    session = own.accounts.open_session(own.database, user, label=f"browser, {provider}")
    record_session(request, user, "session.open", provider=provider)
    response = RedirectResponse(returned.target, status_code=303)
    set_session_cookie(request, response, session)
    response.delete_cookie(own.session_cookie + ATTEMPT_COOKIE, path="/login/oidc/")
    return response


def _failed(request: Request, error: RacoonError, target: str) -> Response:
    record_refusal(request, error)
    failed = error.error_code.rpartition(".")[2]
    return RedirectResponse(f"/login?failed={failed}&next={quote(target, safe='/')}", status_code=303)


def _provider(request: Request, name: str) -> Provider:
    found: Provider | None = request.app.state.providers.get(name)
    if found is None:
        raise NoSuchProvider("There is no identity provider of this name here.")
    return found


def _return_address(request: Request, provider: str) -> str:
    return f"{request.app.state.own_address}/login/oidc/{provider}/return"
