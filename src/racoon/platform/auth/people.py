"""Whether two accounts are two people: asked by every rule that needs a second person.

Two accounts with passwords are, because the second one was granted by two others.  Two accounts of one identity
provider are, because it vouches for its people.  An account with a password and one of a provider, or accounts of two
providers, cannot be told apart: nobody here knows whether one person holds both, so they count as one.
"""

from __future__ import annotations

import sqlalchemy as sa

from racoon.platform.auth._store import TABLES
from racoon.platform.database import RoleName


def is_same_person(role: RoleName, connection: sa.Connection, one: str, other: str) -> bool:
    """Tell whether two accounts may be one person.

    Parameters
    ----------
    role
        ``"node"`` or ``"central"``.
    connection
        Any connection of the role's database.
    one, other
        Names as actions record them; what is no account, such as a machine, is nobody's second account.

    Returns
    -------
    bool
        True also where it cannot be told.
    """
    if one == other:
        return True
    issuers = [_issuer(role, connection, name) for name in (one, other)]
    if None in issuers:
        return False
    return issuers[0] != issuers[1]


def as_seen_by(role: RoleName, connection: sa.Connection, previous: str | None, actor: str) -> str | None:
    """Return who took the step before, under the actor's own name where both may be one person.

    The pure rules of two people compare names; this gives them the names to compare.
    """
    if previous is not None and is_same_person(role, connection, previous, actor):
        return actor
    return previous


def _issuer(role: RoleName, connection: sa.Connection, name: str) -> str | None:
    """Issuer of an account, empty for one with a password, None for what is no account."""
    account, identity = TABLES[role].account, TABLES[role].external_identity
    query = (
        sa.select(account.c.name, identity.c.issuer)
        .outerjoin(identity, identity.c.account == account.c.name)
        .where(account.c.name == name)
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else str(row.issuer or "")
