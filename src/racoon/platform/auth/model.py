"""Words of the auth room: users, sessions, and what can be wrong with a login."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import ClassVar

from racoon.domain.identity import Role, SiteCode
from racoon.errors import Refused

MIN_PASSWORD_LENGTH = 8
"""The lower limit of NIST SP 800-63B; longer is for the operator to ask for."""


@dataclass(frozen=True)
class User:
    """Who is signed in, with the roles held at this participant; ``site`` is set at a node."""

    name: str
    roles: frozenset[Role]
    site: SiteCode | None = None
    has_second_factor: bool = field(default=False, compare=False)

    @property
    def main_role(self) -> str:
        """One role name for an audit entry: the first in alphabetical order, or ``"none"``."""
        return min((role.value for role in self.roles), default="none")


@dataclass(frozen=True)
class Account:
    """An account as an administrator sees it; the password hash never leaves the store."""

    user: User
    is_disabled: bool
    created: datetime


@dataclass(frozen=True)
class SessionInfo:
    """A session that was just opened; ``token`` is shown once and stored only as a hash."""

    token: str
    user: User
    expires: datetime


class WrongCredentials(Refused):
    """Name or password is wrong, or the account is disabled: one answer for all three."""

    code = "auth.wrong_credentials"
    status = 401


class CodeNeeded(Refused):
    """Name and password are right; the account has a second factor and no code came with them."""

    code = "auth.code_needed"
    status = 401


class WrongCode(Refused):
    """The one-time code is wrong, used already or too old."""

    code = "auth.wrong_code"
    status = 401


class SecondFactorMissing(Refused):
    """This participant lets nobody work without a second factor."""

    code = "auth.second_factor_missing"


class LoginThrottled(Refused):
    """Too many wrong passwords; wait before the next try."""

    code = "auth.throttled"
    status = 429

    def __init__(self, public_message: str, *, retry_after_s: int = 60, **rest: object) -> None:
        super().__init__(public_message, **rest)  # type: ignore[arg-type]
        self.headers = {"Retry-After": str(retry_after_s)}


class NotSignedIn(Refused):
    """The route needs a user and nobody is signed in, or the session ended."""

    code = "auth.not_signed_in"
    status = 401
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(Refused):
    """The user is known but holds no role that may do this."""

    code = "auth.forbidden"


class AccountExists(Refused):
    """An account of this name exists."""

    code = "auth.account_exists"
    status = 409


class NoSuchAccount(Refused):
    """There is no account of this name."""

    code = "auth.no_such_account"
    status = 404


class WeakPassword(Refused):
    """The password is too short."""

    code = "auth.weak_password"
    status = 422
