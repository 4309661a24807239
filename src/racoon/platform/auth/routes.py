"""Sign in and out: JSON for programs, a form for people; the same session for both."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import quote, urlsplit

from fastapi import APIRouter, Depends, FastAPI, Form, Request
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel, Field
from starlette.responses import JSONResponse, RedirectResponse, Response

from racoon.errors import RacoonError, Refused
from racoon.platform.audit import AuditLog
from racoon.platform.auth.access import SESSION_COOKIE, current_user, optional_user, session_token
from racoon.platform.auth.accounts import CODE_LIFETIME, SESSION_LIFETIME, AccountStore
from racoon.platform.auth.model import CodeNeeded, Forbidden, NotSignedIn, SessionInfo, User
from racoon.platform.database import Database, RoleName

SecondFactor = Literal["optional", "required"]
"""Whether people of a participant may work without a second factor."""

LONGEST_TARGET = 400
"""Characters of an audit entry's target."""

router = APIRouter(tags=["session"])


class LoginRequest(BaseModel):
    """Name and password, and the one-time code where the account has a second factor."""

    username: str = Field(max_length=80)
    password: str = Field(max_length=500)
    code: str = Field(default="", max_length=40)


class UserDocument(BaseModel):
    """Who is signed in."""

    name: str
    roles: list[str]
    site: str | None


class SessionDocument(BaseModel):
    """A new session; the token is for ``Authorization: Bearer`` and is shown only here."""

    token: str
    expires: str
    user: UserDocument


def install_accounts(
    app: FastAPI,
    role: RoleName,
    database: Database,
    *,
    audit: AuditLog | None = None,
    cookie: str = SESSION_COOKIE,
    second_factor: SecondFactor = "optional",
) -> AccountStore:
    """Give an application accounts: state for ``current_user`` and the session routes.

    Parameters
    ----------
    app
        The role's application.
    role, database
        Whose tables, and where.
    audit
        Where logins are recorded; by default the role's audit log.
    cookie
        Name of the session cookie; participants on one host need different ones, because cookies ignore
        ports.
    second_factor
        ``"required"`` lets people do nothing but set one up until they have it.
    """
    accounts = AccountStore(role)
    app.state.accounts = accounts
    app.state.database = database
    app.state.session_cookie = cookie
    app.state.audit = audit or AuditLog(role)
    app.state.needs_second_factor = second_factor == "required"
    app.state.providers = {}
    app.include_router(router)
    answer = app.exception_handlers[RacoonError]

    async def refuse(request: Request, error: Exception) -> Response:
        await run_in_threadpool(record_forbidden, request, error)
        response: Response = await answer(request, error)  # type: ignore[misc]  # ours is a coroutine; Starlette allows both
        return response

    app.add_exception_handler(Forbidden, refuse)
    return accounts


@router.post("/api/session", response_model=SessionDocument)
def sign_in(request: Request, body: LoginRequest) -> Response:
    """Open a session; sets the cookie and returns the token."""
    session = _sign_in(request, body.username, body.password, body.code)
    document = SessionDocument(
        token=session.token, expires=session.expires.isoformat(), user=_document(session.user)
    )
    response = JSONResponse(document.model_dump())
    set_session_cookie(request, response, session)
    return response


@router.get("/api/session")
def who_am_i(user: Annotated[User, Depends(current_user)]) -> UserDocument:
    """Return who is signed in."""
    return _document(user)


@router.delete("/api/session", status_code=204)
def sign_out(request: Request) -> Response:
    """End this session; without one nothing happens."""
    _sign_out(request)
    response = Response(status_code=204)
    response.delete_cookie(request.app.state.session_cookie, path="/")
    return response


@router.post("/login", status_code=303, include_in_schema=False)
def sign_in_by_form(
    request: Request,
    username: Annotated[str, Form(max_length=80)] = "",
    password: Annotated[str, Form(max_length=500)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002 -- the usual name of the field
) -> Response:
    """Open a session from a form and go on to the page that was asked for."""
    target = local_path(next)
    try:
        session = _sign_in(request, username, password)
    except CodeNeeded:
        return _ask_for_code(request, username, target)
    except Refused as error:
        failed = error.error_code.rpartition(".")[2]
        return RedirectResponse(f"/login?failed={failed}&next={quote(target, safe='/')}", status_code=303)
    response = RedirectResponse(target, status_code=303)
    set_session_cookie(request, response, session)
    return response


@router.post("/login/code", status_code=303, include_in_schema=False)
def sign_in_with_code(
    request: Request,
    code: Annotated[str, Form(max_length=40)] = "",
    next: Annotated[str, Form(max_length=2000)] = "/",  # noqa: A002 -- the usual name of the field
) -> Response:
    """Finish a sign-in whose password was right."""
    target, state = local_path(next), request.app.state
    try:
        session = state.accounts.finish_session(state.database, session_token(request) or "", code)
    except Refused as error:
        record_refusal(request, error)
        failed, step = (
            error.error_code.rpartition(".")[2],
            "" if isinstance(error, NotSignedIn) else "&step=code",
        )
        return RedirectResponse(
            f"/login?failed={failed}{step}&next={quote(target, safe='/')}", status_code=303
        )
    record_session(request, session.user, "session.open")
    response = RedirectResponse(target, status_code=303)
    set_session_cookie(request, response, session)
    return response


def _ask_for_code(request: Request, username: str, target: str) -> Response:
    state = request.app.state
    waiting = state.accounts.open_session(
        state.database,
        User(username, frozenset()),
        label="waits for a code",
        lifetime=CODE_LIFETIME,
        awaits_code=True,
    )
    response = RedirectResponse(f"/login?step=code&next={quote(target, safe='/')}", status_code=303)
    set_session_cookie(request, response, waiting)
    return response


@router.post("/logout", status_code=303, include_in_schema=False)
def sign_out_by_form(request: Request) -> Response:
    """End the session, at the identity provider too where it came from one, and show the login page."""
    user = _sign_out(request)
    provider = request.app.state.providers.get(user.provider) if user else None
    elsewhere = provider.end_session_address(f"{request.app.state.own_address}/login") if provider else None
    response = RedirectResponse(elsewhere or "/login", status_code=303)
    response.delete_cookie(request.app.state.session_cookie, path="/")
    return response


def _sign_in(request: Request, name: str, password: str, code: str = "") -> SessionInfo:
    state = request.app.state
    accounts: AccountStore = state.accounts
    try:
        user = accounts.verify(state.database, name, password, code)
    except CodeNeeded:
        raise
    except Refused as error:
        record_refusal(request, error)
        raise
    session = accounts.open_session(state.database, user)
    record_session(request, user, "session.open")
    return session


def record_refusal(request: Request, error: RacoonError) -> None:
    """Audit a sign-in that failed."""
    state = request.app.state
    # What was typed as a name may be a password or a patient: it is not written down.
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor="unknown",
            actor_role="none",
            action="session.open",
            target="session",
            outcome="refused",
            client=request.client.host if request.client else None,
            details={"code": error.error_code},
        )


def _sign_out(request: Request) -> User | None:
    token = session_token(request)
    if token is None:
        return None
    state = request.app.state
    user: User | None = state.accounts.user_of_session(state.database, token)
    if user is not None:
        state.accounts.close_session(state.database, token)
        record_session(request, user, "session.close")
    return user


def record_session(request: Request, user: User, action: str, **details: str) -> None:
    """Audit that a session was opened or closed."""
    state = request.app.state
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action=action,
            target="session",
            client=request.client.host if request.client else None,
            details=details,
        )


def record_forbidden(request: Request, error: Exception) -> None:
    """Audit that somebody who is signed in asked for something their roles do not allow.

    The path is the entry's target; what stands behind its question mark is not written down.
    """
    user = optional_user(request)
    if user is None:
        return
    state = request.app.state
    with state.database.begin() as connection:
        state.audit.append(
            connection,
            actor=user.name,
            actor_role=user.main_role,
            action="access.refuse",
            target=f"page{request.url.path}"[:LONGEST_TARGET],
            outcome="refused",
            client=request.client.host if request.client else None,
            details={"method": request.method, **getattr(error, "details", {})},
        )


def set_session_cookie(request: Request, response: Response, session: SessionInfo) -> None:
    """Give the browser its session."""
    response.set_cookie(
        request.app.state.session_cookie,
        session.token,
        max_age=int(SESSION_LIFETIME.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )


def _document(user: User) -> UserDocument:
    return UserDocument(name=user.name, roles=sorted(role.value for role in user.roles), site=user.site)


def local_path(target: str) -> str:
    """Return the path if it stays on this server, else the start page."""
    parts = urlsplit(target.replace("\\", "/"))
    is_local = not parts.scheme and not parts.netloc and parts.path.startswith("/")
    return target if is_local and not target.startswith(("//", "/\\")) else "/"
