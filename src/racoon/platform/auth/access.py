"""Dependencies for routes: who is asking, and whether the permission table lets them."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Annotated

import sqlalchemy as sa
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


def user_of(request: Request, reading: sa.Connection | None = None) -> User | None:
    """Return who is signed in, ``None`` for nobody; in a transaction that reads, where one is open."""
    token = session_token(request)
    if token is None:
        return None
    state = request.app.state
    user: User | None = state.accounts.user_of_session(state.database, token, reading)
    return user


def optional_user(request: Request) -> User | None:
    """Return who is signed in, ``None`` for nobody; for pages that differ for guests."""
    return user_of(request)


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
        _refuse_unless_permitted(request, user, action)
        return user

    permitted_user.action = action  # type: ignore[attr-defined]  # functions have no declared attributes
    return permitted_user


@dataclass(frozen=True)
class Visitor:
    """Somebody who asks, not yet looked up; a route gets no user from it but by :meth:`permitted`."""

    request: Request
    action: str

    def permitted(self, reading: sa.Connection) -> User:
        """Return who it is, if signed in and permitted.

        Parameters
        ----------
        reading
            The transaction in which the request is answered.

        Raises
        ------
        NotSignedIn, Forbidden, SecondFactorMissing
        """
        user = user_of(self.request, reading)
        if user is None:
            raise NotSignedIn("Sign in first.")
        _refuse_unless_permitted(self.request, user, self.action)
        return user


def require_within(action: str) -> Callable[..., Coroutine[None, None, Visitor]]:
    """Make a dependency like :func:`require` for a route that looks the user up itself, before anything else.

    A dependency that reads the database costs a change to another thread and back, more than the look-up; a route
    that answers within milliseconds does both in the thread where it works.
    """

    # A coroutine without I/O, so that it stays in the event loop.
    async def visitor(request: Request) -> Visitor:
        return Visitor(request, action)

    visitor.action = action  # type: ignore[attr-defined]  # functions have no declared attributes
    return visitor


def _refuse_unless_permitted(request: Request, user: User, action: str) -> None:
    if not is_permitted(request.app.state.accounts.role, user.roles, action):
        raise Forbidden("Your roles do not allow this.", details={"action": action})
    if request.app.state.needs_second_factor and not user.has_second_factor:
        raise SecondFactorMissing("Set up a second factor first: open your account by your name above.")
