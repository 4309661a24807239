"""Dependencies for routes: who is asking, and whether the permission table lets them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated

from fastapi import Depends, Request

from racoon.domain.permission import is_permitted
from racoon.platform.auth.model import Forbidden, NotSignedIn, SecondFactorMissing, User

SESSION_COOKIE = "racoon_session"


def session_token(request: Request) -> str | None:
    """Return the token of a request: an ``Authorization: Bearer`` header first, else the session cookie."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return token.strip()
    return request.cookies.get(getattr(request.app.state, "session_cookie", SESSION_COOKIE))


def optional_user(request: Request) -> User | None:
    """Return who is signed in, ``None`` for nobody; for pages that differ for guests."""
    token = session_token(request)
    if token is None:
        return None
    user: User | None = request.app.state.accounts.user_of_session(request.app.state.database, token)
    return user


def current_user(request: Request) -> User:
    """Return who is signed in.

    Raises
    ------
    NotSignedIn
    """
    user = optional_user(request)
    if user is None:
        raise NotSignedIn("Sign in first.")
    return user


def require(action: str) -> Callable[..., Coroutine[None, None, User]]:
    """Make a dependency that lets only users through who may do an action.

    Parameters
    ----------
    action
        A key of ``racoon.domain.permission.PERMISSIONS``; kept as the dependency's attribute ``action``, so
        that a test can walk all routes.

    Returns
    -------
    Callable
        For ``user: Annotated[User, Depends(require("study.read"))]``; raises NotSignedIn or Forbidden.
    """

    # A coroutine without I/O: a plain function would cost each request one more change of threads.
    async def permitted_user(request: Request, user: Annotated[User, Depends(current_user)]) -> User:
        if not is_permitted(request.app.state.accounts.role, user.roles, action):
            raise Forbidden("Your roles do not allow this.", details={"action": action})
        if request.app.state.needs_second_factor and not user.has_second_factor:
            raise SecondFactorMissing("Set up a second factor first: open your account by your name above.")
        return user

    permitted_user.action = action  # type: ignore[attr-defined]
    return permitted_user
