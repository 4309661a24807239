"""In which role somebody acts: the word the audit needs beside the name."""

from __future__ import annotations

from racoon.domain.permission import PERMISSIONS
from racoon.platform.auth import User


def actor_role(user: User, action: str) -> str:
    """Return the role that entitles a user to an action at CENTRAL (the first by name when several do).

    Parameters
    ----------
    user
        Who acts.
    action
        Key of ``domain.permission.PERMISSIONS["central"]``.
    """
    entitled = sorted(role.value for role in user.roles if role in PERMISSIONS["central"][action])
    return entitled[0] if entitled else "none"
