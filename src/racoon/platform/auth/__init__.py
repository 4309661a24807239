"""Who is asking, and may they: accounts with passwords, sessions, bearer tokens, one permission check.

``current_user`` and ``require`` are what routes depend on; ``install_accounts`` gives a role its login routes;
``AccountGrants`` is how people change accounts. What a role's people may do is written in ``domain.permission``, not
here; certificates of machines are not accounts.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from racoon.platform.auth import second_factor
from racoon.platform.auth.accounts import AccountStore
from racoon.platform.auth.grants import AccountGrants
from racoon.platform.auth.model import (
    Account,
    AccountExists,
    Changed,
    CodeNeeded,
    ExternalAccount,
    Forbidden,
    Grant,
    GrantKind,
    LoginThrottled,
    NoSuchAccount,
    NoSuchGrant,
    NotSignedIn,
    OwnAccount,
    SamePerson,
    SecondFactorMissing,
    SessionInfo,
    User,
    WeakPassword,
    WrongCode,
    WrongCredentials,
)

if TYPE_CHECKING:
    from racoon.platform.auth.access import Visitor, current_user, optional_user, require, require_within
    from racoon.platform.auth.routes import install_accounts

_NEEDS_WEB = {
    "Visitor": "racoon.platform.auth.access",
    "current_user": "racoon.platform.auth.access",
    "install_accounts": "racoon.platform.auth.routes",
    "optional_user": "racoon.platform.auth.access",
    "require": "racoon.platform.auth.access",
    "require_within": "racoon.platform.auth.access",
}
"""Where the parts for routes live; loaded when asked for, so that making an account loads no web server."""

__all__ = [
    "Account",
    "AccountExists",
    "AccountGrants",
    "AccountStore",
    "Changed",
    "CodeNeeded",
    "ExternalAccount",
    "Forbidden",
    "Grant",
    "GrantKind",
    "LoginThrottled",
    "NoSuchAccount",
    "NoSuchGrant",
    "NotSignedIn",
    "OwnAccount",
    "SamePerson",
    "SecondFactorMissing",
    "SessionInfo",
    "User",
    "Visitor",
    "WeakPassword",
    "WrongCode",
    "WrongCredentials",
    "current_user",
    "install_accounts",
    "optional_user",
    "require",
    "require_within",
    "second_factor",
]


def __getattr__(name: str) -> Any:
    if name not in _NEEDS_WEB:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_NEEDS_WEB[name]), name)
