"""Words of the auth room: users, sessions, and what can be wrong with a login."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import ClassVar

from racoon.domain.identity import Role, SiteCode
from racoon.errors import Refused

MIN_PASSWORD_LENGTH = 8
"""The lower limit of NIST SP 800-63B; longer is for the operator to ask for."""


@dataclass(frozen=True)
class User:
    """Who is signed in, with the roles held at this participant.

    ``site`` is set at a node, ``provider`` for an account that signs in at an identity provider.
    """

    name: str
    roles: frozenset[Role]
    site: SiteCode | None = None
    has_second_factor: bool = field(default=False, compare=False)
    provider: str = field(default="", compare=False)

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


class GrantKind(StrEnum):
    """What waits for a second person."""

    ROLES = "roles"
    RESET = "reset"
    ENABLE = "enable"
    MAPPED = "mapped"


@dataclass(frozen=True)
class Grant:
    """Something about an account that decides, asked for by one person and waiting for another.

    Parameters
    ----------
    roles
        Deciding roles to be added; none for a reset or enabling.
    has_password
        Whether confirming sets a new password whose second half the confirming person sees.
    """

    grant_id: str
    account: str
    kind: GrantKind
    roles: frozenset[Role]
    asked_by: str
    asked_at: datetime
    ends_at: datetime
    has_password: bool


@dataclass(frozen=True)
class Changed:
    """What a change of an account led to.

    Parameters
    ----------
    account
        Whose.
    password
        A new password, or the half of it that this person sees; shown once, kept nowhere.
    is_half
        Whether it is one half.
    waits
        Whether a part of the change waits for a second person.
    """

    account: str
    password: str = ""
    is_half: bool = False
    waits: bool = False


class OwnAccount(Refused):
    """Who manages accounts does not change the own one: the last one would lock everybody out."""

    code = "auth.own_account"


class SamePerson(Refused):
    """Who asked does not confirm, and nobody confirms for the own account."""

    code = "auth.same_person"


class ExternalAccount(Refused):
    """Roles and password of this account come from its identity provider."""

    code = "auth.external_account"


class NoSuchGrant(Refused):
    """Nothing of this id waits: decided, replaced, ended, or never asked for."""

    code = "auth.no_such_grant"
    status = 404


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
        super().__init__(public_message, **rest)  # type: ignore[arg-type]  # handed on as they came
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
