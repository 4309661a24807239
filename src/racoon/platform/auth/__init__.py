"""Who is asking, and may they: accounts with passwords, sessions, bearer tokens, one permission check.

``current_user`` and ``require`` are what routes depend on; ``install_accounts`` gives a role its login
routes. What a role's people may do is written in ``domain.permission``, not here; certificates of machines
are not accounts.
"""

from racoon.platform.auth.access import current_user, optional_user, require
from racoon.platform.auth.accounts import AccountStore
from racoon.platform.auth.model import (
    Account,
    AccountExists,
    Forbidden,
    LoginThrottled,
    NoSuchAccount,
    NotSignedIn,
    SessionInfo,
    User,
    WeakPassword,
    WrongCredentials,
)
from racoon.platform.auth.routes import install_accounts

__all__ = [
    "Account",
    "AccountExists",
    "AccountStore",
    "Forbidden",
    "LoginThrottled",
    "NoSuchAccount",
    "NotSignedIn",
    "SessionInfo",
    "User",
    "WeakPassword",
    "WrongCredentials",
    "current_user",
    "install_accounts",
    "optional_user",
    "require",
]
