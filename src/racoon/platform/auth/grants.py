"""Changes of accounts by people: who manages accounts grants no role that decides alone.

A role that takes part in a rule of two people (``domain.permission.DECIDING_ROLES``) would be worth nothing if one
person could make the second one.  So such a role, a new password for an account that has one, and enabling it again
wait until another person who may confirms.  A new password then has two halves, one for each of the two: neither can
sign in as the third.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Role, SiteCode
from racoon.domain.permission import DECIDING_ROLES, is_permitted
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth._store import TABLES
from racoon.platform.auth.accounts import hash_password
from racoon.platform.auth.model import (
    AccountExists,
    Changed,
    ExternalAccount,
    Grant,
    GrantKind,
    NoSuchAccount,
    NoSuchGrant,
    OwnAccount,
    SamePerson,
    User,
)
from racoon.platform.auth.people import is_same_person
from racoon.platform.database import Database, RoleName

PASSWORD_BYTES = 12
"""96 random bits; of a password in two halves each half has them."""

WAITS_FOR = timedelta(days=7)
"""A grant nobody decided ends by itself."""

_Record = Callable[..., None]


class AccountGrants:
    """Changes of the accounts of one role, each audited in its own transaction.

    Parameters
    ----------
    role
        ``"node"`` or ``"central"``.
    audit
        The role's audit log.
    """

    def __init__(self, role: RoleName, audit: AuditLog) -> None:
        self._role: RoleName = role
        self._audit = audit
        self._tables = TABLES[role]
        self._deciding = DECIDING_ROLES[role]

    def create(
        self,
        database: Database,
        name: str,
        roles: Iterable[Role],
        *,
        site: SiteCode | str | None,
        by: User,
        client: str | None = None,
    ) -> Changed:
        """Create an account; roles that decide wait for a second person.

        Returns
        -------
        Changed
            With its password, or the first half of it; with half of it nobody can sign in yet.

        Raises
        ------
        AccountExists
        """
        wanted = frozenset(roles)
        deciding = wanted & self._deciding
        first, second = _halves(is_split=bool(deciding))
        hashed = hash_password(first + second)
        row = {
            "name": name,
            "password_hash": hashed,
            "roles": _names(wanted - deciding),
            "site": site,
            "is_disabled": False,
            "created": clock.now(),
        }
        with database.begin() as connection:
            if self._account(connection, name) is not None:
                raise AccountExists("There is an account of this name already.")
            connection.execute(sa.insert(self._tables.account).values(row))
            record = self._recorder(connection, by, client)
            record("account.create", name, roles=_names(wanted - deciding))
            if deciding:
                self._ask(connection, record, name, GrantKind.ROLES, by, deciding, (hashed, second))
        return Changed(name, first, is_half=bool(deciding), waits=bool(deciding))

    def change_roles(
        self, database: Database, name: str, roles: Iterable[Role], *, by: User, client: str | None = None
    ) -> Changed:
        """Replace the roles of an account: what is taken away and what decides nothing holds at once.

        Notes
        -----
        The first deciding role of an account comes with a new password in two halves: whoever made the account knows
        the password it has now.

        Raises
        ------
        OwnAccount, NoSuchAccount, ExternalAccount
        """
        wanted = frozenset(roles)
        with database.begin() as connection:
            row = self._embedded(connection, name, by)
            has = _roles(row.roles) & self._deciding
            at_once, waiting = wanted - (self._deciding - has), (wanted & self._deciding) - has
            self._set(connection, name, {"roles": _names(at_once)})
            self._replace(connection, name, GrantKind.ROLES)
            record = self._recorder(connection, by, client)
            record("account.roles", name, roles=_names(at_once))
            if not waiting:
                return Changed(name)
            is_split = not has
            first, second = _halves(is_split=True) if is_split else ("", "")
            password = (hash_password(first + second), second) if is_split else ("", "")
            self._ask(connection, record, name, GrantKind.ROLES, by, waiting, password)
        return Changed(name, first, is_half=is_split, waits=True)

    def reset(self, database: Database, name: str, *, by: User, client: str | None = None) -> Changed:
        """Make a new password and take the second factor away; for an account that decides this waits.

        Raises
        ------
        OwnAccount, NoSuchAccount
        """
        with database.begin() as connection:
            decides = bool(_roles(self._embedded(connection, name, by).roles) & self._deciding)
            first, second = _halves(is_split=decides)
            hashed = hash_password(first + second)
            record = self._recorder(connection, by, client)
            if decides:
                self._ask(connection, record, name, GrantKind.RESET, by, frozenset(), (hashed, second))
            else:
                self._set_password(connection, name, hashed)
                record("account.reset", name)
        return Changed(name, first, is_half=decides, waits=decides)

    def set_enabled(
        self, database: Database, name: str, *, enabled: bool, by: User, client: str | None = None
    ) -> Changed:
        """Disable an account at once, or enable it again; for an account that decides the latter waits.

        Raises
        ------
        OwnAccount, NoSuchAccount
        """
        with database.begin() as connection:
            row = self._other(connection, name, by)
            record = self._recorder(connection, by, client)
            if enabled and row.is_disabled and _roles(row.roles) & self._deciding:
                self._ask(connection, record, name, GrantKind.ENABLE, by, frozenset(), ("", ""))
                return Changed(name, waits=True)
            self._set(connection, name, {"is_disabled": not enabled})
            if not enabled:
                self._replace(connection, name, GrantKind.ENABLE)
                self._end_sessions(connection, name)
            record("account.enable" if enabled else "account.disable", name)
        return Changed(name)

    def waiting(self, database: Database) -> list[Grant]:
        """Return what waits for a second person, oldest first."""
        table = self._tables.grant
        query = sa.select(table).where(table.c.state == "waiting", table.c.asked_at > clock.now() - WAITS_FOR)
        with database.connect() as connection:
            rows = connection.execute(query.order_by(table.c.asked_at, table.c.grant_id)).all()
        return [_grant(row) for row in rows]

    def confirm(self, database: Database, grant_id: str, *, by: User, client: str | None = None) -> Changed:
        """Let a grant take effect, as a second person.

        Returns
        -------
        Changed
            With the second half of the new password, where the grant has one.

        Raises
        ------
        SamePerson
            The one who asked, or whose account it is.
        NoSuchGrant
            Nothing waits, or who asked may no longer.
        """
        with database.begin() as connection:
            row = self._waiting_row(connection, grant_id)
            is_same = by.name == row.account or is_same_person(self._role, connection, row.asked_by, by.name)
            if is_same:
                raise SamePerson(
                    "Another person has to confirm this: neither who asked nor whose account it is."
                )
            account, asker = self._account(connection, row.account), self._account(connection, row.asked_by)
            # What a provider's mapping asks for was written into the settings; nobody's account asked.
            may_ask = row.kind == GrantKind.MAPPED or (
                asker is not None
                and not asker.is_disabled
                and is_permitted(self._role, _roles(asker.roles), "account.manage")
            )
            has = _roles(account.roles) & self._deciding if account is not None else frozenset()
            kind = GrantKind(row.kind)
            # Between asking and confirming the account may have lost its roles, and its password been made anew.
            is_known_password = kind is GrantKind.ROLES and not row.password_hash and not has
            if account is None or not may_ask or is_known_password:
                raise NoSuchGrant("This no longer holds: ask for it again.")
            self._decide(connection, grant_id, "confirmed", by)
            if kind in (GrantKind.ROLES, GrantKind.MAPPED):
                self._set(
                    connection, row.account, {"roles": _names(_roles(account.roles) | _roles(row.roles))}
                )
            if kind is GrantKind.ENABLE:
                self._set(connection, row.account, {"is_disabled": False})
            if row.password_hash:
                self._set_password(connection, row.account, row.password_hash)
            self._recorder(connection, by, client)(
                "account.grant.confirm", row.account, kind=row.kind, roles=row.roles, asked_by=row.asked_by
            )
        return Changed(row.account, row.second_half, is_half=bool(row.second_half))

    def refuse(self, database: Database, grant_id: str, *, by: User, client: str | None = None) -> None:
        """Refuse a grant; who asked may take it back like this too.

        Raises
        ------
        NoSuchGrant
        """
        with database.begin() as connection:
            row = self._waiting_row(connection, grant_id)
            self._decide(connection, grant_id, "refused", by)
            self._recorder(connection, by, client)(
                "account.grant.refuse", row.account, kind=row.kind, roles=row.roles, asked_by=row.asked_by
            )

    def _ask(
        self,
        connection: sa.Connection,
        record: _Record,
        name: str,
        kind: GrantKind,
        by: User,
        roles: frozenset[Role],
        password: tuple[str, str],
    ) -> None:
        self._replace(connection, name, kind)
        row = {
            "grant_id": secrets.token_hex(8),
            "account": name,
            "kind": kind.value,
            "roles": _names(roles),
            "asked_by": by.name,
            "asked_at": clock.now(),
            "password_hash": password[0],
            "second_half": password[1],
            "state": "waiting",
            "decided_by": "",
            "decided_at": None,
        }
        connection.execute(sa.insert(self._tables.grant).values(row))
        record("account.grant.ask", name, kind=kind.value, roles=_names(roles))

    def _replace(self, connection: sa.Connection, name: str, kind: GrantKind) -> None:
        table = self._tables.grant
        update = sa.update(table).where(
            table.c.account == name, table.c.kind == kind.value, table.c.state == "waiting"
        )
        connection.execute(update.values(state="replaced", password_hash="", second_half=""))

    def _decide(self, connection: sa.Connection, grant_id: str, state: str, by: User) -> None:
        table = self._tables.grant
        update = sa.update(table).where(table.c.grant_id == grant_id, table.c.state == "waiting")
        values = {
            "state": state,
            "decided_by": by.name,
            "decided_at": clock.now(),
            "password_hash": "",
            "second_half": "",
        }
        if connection.execute(update.values(values)).rowcount != 1:
            raise NoSuchGrant("Nothing of this kind waits any more.")

    def _waiting_row(self, connection: sa.Connection, grant_id: str) -> sa.Row[Any]:
        table = self._tables.grant
        query = sa.select(table).where(
            table.c.grant_id == grant_id,
            table.c.state == "waiting",
            table.c.asked_at > clock.now() - WAITS_FOR,
        )
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NoSuchGrant("Nothing of this kind waits any more.")
        return row

    def _other(self, connection: sa.Connection, name: str, by: User) -> sa.Row[Any]:
        if name == by.name:
            raise OwnAccount("Another person has to change your account; your password you change yourself.")
        row = self._account(connection, name)
        if row is None:
            raise NoSuchAccount("There is no account of this name.")
        return row

    def _embedded(self, connection: sa.Connection, name: str, by: User) -> sa.Row[Any]:
        row = self._other(connection, name, by)
        if row.provider:
            raise ExternalAccount("Roles and password of this account come from its identity provider.")
        return row

    def _account(self, connection: sa.Connection, name: str) -> sa.Row[Any] | None:
        table = self._tables.account
        # Locked, so that roles that are taken away meanwhile do not come back.
        return connection.execute(
            sa.select(table).where(table.c.name == name).with_for_update()
        ).one_or_none()

    def _set(self, connection: sa.Connection, name: str, values: dict[str, object]) -> None:
        table = self._tables.account
        connection.execute(sa.update(table).where(table.c.name == name).values(values))

    def _set_password(self, connection: sa.Connection, name: str, hashed: str) -> None:
        without_factor = {"second_factor": "", "last_code_step": 0, "recovery_hashes": []}
        self._set(connection, name, {"password_hash": hashed, **without_factor})
        self._end_sessions(connection, name)

    def _end_sessions(self, connection: sa.Connection, name: str) -> None:
        session = self._tables.session
        connection.execute(sa.delete(session).where(session.c.account == name))

    def _recorder(self, connection: sa.Connection, by: User, client: str | None) -> _Record:
        def record(action: str, name: str, **details: Any) -> None:
            self._audit.append(
                connection,
                actor=by.name,
                actor_role=by.main_role,
                action=action,
                target=f"account/{name}",
                client=client,
                details=details,
            )

        return record


def _halves(*, is_split: bool) -> tuple[str, str]:
    return secrets.token_urlsafe(PASSWORD_BYTES), secrets.token_urlsafe(PASSWORD_BYTES) if is_split else ""


def _names(roles: Iterable[Role]) -> list[str]:
    return sorted(role.value for role in roles)


def _roles(names: Iterable[str]) -> frozenset[Role]:
    known = {role.value for role in Role}
    return frozenset(Role(name) for name in names if name in known)


def _grant(row: sa.Row[Any]) -> Grant:
    return Grant(
        row.grant_id,
        row.account,
        GrantKind(row.kind),
        _roles(row.roles),
        row.asked_by,
        row.asked_at,
        row.asked_at + WAITS_FOR,
        bool(row.password_hash),
    )
