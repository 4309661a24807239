"""Accounts, sessions and bearer tokens of one role, in its own database."""

from __future__ import annotations

import contextlib
import hashlib
import secrets
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import argon2
import sqlalchemy as sa

from racoon.domain.identity import Role, SiteCode
from racoon.platform import clock
from racoon.platform.auth import second_factor
from racoon.platform.auth._store import TABLES
from racoon.platform.auth.model import (
    MIN_PASSWORD_LENGTH,
    Account,
    AccountExists,
    CodeNeeded,
    LoginThrottled,
    NoSuchAccount,
    NotSignedIn,
    SessionInfo,
    User,
    WeakPassword,
    WrongCode,
    WrongCredentials,
)
from racoon.platform.auth.people import is_same_person
from racoon.platform.database import Database, RoleName
from racoon.platform.prepared import PreparedSelect

_HASHER = argon2.PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
"""OWASP's second recommendation for argon2id: 19 MiB, two passes; about 20 ms on one core."""

IDLE_TIMEOUT = timedelta(minutes=30)
"""A forgotten browser in a reading room signs itself out."""

SESSION_LIFETIME = timedelta(hours=12)
"""One shift."""

CODE_LIFETIME = timedelta(minutes=5)
"""How long a right password waits for the code of the second factor."""

_TOUCH_EVERY = timedelta(minutes=1)
"""How often a session's last use is written, so that reading a page writes nothing."""

FREE_FAILURES = 5
"""Wrong passwords for a name before waiting starts; the wait then doubles from one second."""

MAX_WAIT = timedelta(minutes=5)
"""Longest wait, so that nobody can lock a colleague out for the day."""


class AccountStore:
    """Accounts of one role.

    Parameters
    ----------
    role
        ``"node"`` or ``"central"``: whose tables.
    """

    def __init__(self, role: RoleName) -> None:
        self.role: RoleName = role
        self._tables = TABLES[role]
        self._decoy: str | None = None
        session, account = self._tables.session, self._tables.account
        # Every request asks it, so it is built once and reads no more than it needs.
        self._session_query = PreparedSelect(
            sa.select(
                session.c.last_seen,
                session.c.expires,
                session.c.idle_s,
                session.c.awaits_code,
                account.c.name,
                account.c.roles,
                account.c.site,
                account.c.is_disabled,
                account.c.second_factor,
                account.c.provider,
            )
            .join(account, account.c.name == session.c.account)
            .where(session.c.token_hash == sa.bindparam("token_hash"))
        )

    def create(
        self,
        database: Database,
        name: str,
        password: str,
        roles: Iterable[Role | str],
        site: SiteCode | str | None = None,
    ) -> User:
        """Create an account.

        Raises
        ------
        WeakPassword, AccountExists
        """
        user = User(name, frozenset(Role(role) for role in roles), SiteCode(site) if site else None)
        row = {
            "name": name,
            "password_hash": hash_password(password),
            "roles": sorted(role.value for role in user.roles),
            "site": user.site,
            "is_disabled": False,
            "created": clock.now(),
        }
        with database.begin() as connection:
            if self._row(connection, name) is not None:
                raise AccountExists("There is an account of this name already.")
            connection.execute(sa.insert(self._tables.account).values(row))
        return user

    def is_same_person(self, connection: sa.Connection, one: str, other: str) -> bool:
        """Tell whether two accounts may be one person; rules of two people ask this."""
        return is_same_person(self.role, connection, one, other)

    def verify(self, database: Database, name: str, password: str, code: str = "") -> User:
        """Check a password and, where the account has a second factor, a one-time or recovery code.

        Raises
        ------
        WrongCredentials
            Name unknown, password wrong or account disabled; all three take the same time.
        CodeNeeded
            The password is right and a code is missing.
        WrongCode
            It is wrong, used or too old.
        LoginThrottled
            Too many wrong passwords or codes for this name.
        """
        with database.connect() as connection:
            self._refuse_blocked(connection, name)
            row = self._row(connection, name)
        # The hash is computed outside of any transaction: it takes long on purpose.
        fits = _fits(row.password_hash if row else self._decoy_hash(), password)
        if row is None or row.is_disabled or not fits:
            with database.begin() as connection:
                self._count_failure(connection, name)
            raise WrongCredentials("Name or password is wrong.")
        if row.second_factor:
            if not code:
                raise CodeNeeded("Type the one-time code of your authenticator too.")
            self._take_code(database, name, code)
        with database.begin() as connection:
            # Only now: somebody with the password must not get new tries at the code by signing in again.
            throttle = self._tables.throttle
            connection.execute(sa.delete(throttle).where(throttle.c.name == name[:80]))
            if _HASHER.check_needs_rehash(row.password_hash):
                self._change(connection, name, {"password_hash": hash_password(password)})
        return _user(row)

    def set_second_factor(self, database: Database, name: str, secret: str, code: str) -> list[str]:
        """Give an account a second factor, once a code shows that the authenticator has the secret.

        Returns
        -------
        list of str
            Recovery codes, shown once; only their hashes are kept.

        Raises
        ------
        WrongCode
            If the code does not fit the secret.
        """
        step = second_factor.step_of(secret, code, clock.now(), after_step=0) if secret else None
        if step is None:
            raise WrongCode("This code does not fit. Is the clock of your telephone right?")
        codes = second_factor.make_recovery_codes()
        with database.begin() as connection:
            self._change(
                connection,
                name,
                {
                    "second_factor": secret,
                    "last_code_step": step,
                    "recovery_hashes": [second_factor.recovery_hash(item) for item in codes],
                },
            )
        return codes

    def remove_second_factor(self, database: Database, name: str) -> None:
        """Take the second factor of an account away, and end its sessions."""
        with database.begin() as connection:
            values = {"second_factor": "", "last_code_step": 0, "recovery_hashes": []}
            self._change(connection, name, values)
            self._end_sessions(connection, name)

    def set_password(self, database: Database, name: str, password: str) -> None:
        """Set a new password and end all sessions of the account."""
        with database.begin() as connection:
            self._change(connection, name, {"password_hash": hash_password(password)})
            self._end_sessions(connection, name)

    def set_roles(self, database: Database, name: str, roles: Iterable[Role | str]) -> None:
        """Replace the roles of an account; open sessions have the new roles at once."""
        with database.begin() as connection:
            self._change(connection, name, {"roles": sorted(Role(role).value for role in roles)})

    def disable(self, database: Database, name: str) -> None:
        """Disable an account and end its sessions."""
        with database.begin() as connection:
            self._change(connection, name, {"is_disabled": True})
            self._end_sessions(connection, name)

    def enable(self, database: Database, name: str) -> None:
        """Enable a disabled account."""
        with database.begin() as connection:
            self._change(connection, name, {"is_disabled": False})

    def accounts(self, database: Database) -> list[Account]:
        """Return all accounts by name."""
        table = self._tables.account
        with database.connect() as connection:
            rows = connection.execute(sa.select(table).order_by(table.c.name)).all()
        return [Account(_user(row), row.is_disabled, row.created) for row in rows]

    def open_session(
        self,
        database: Database,
        user: User,
        *,
        label: str = "browser",
        lifetime: timedelta = SESSION_LIFETIME,
        idle: timedelta | None = IDLE_TIMEOUT,
        awaits_code: bool = False,
    ) -> SessionInfo:
        """Open a session for a verified user; its token works as cookie and as bearer token.

        Parameters
        ----------
        database, user
            Where and for whom.
        label
            What it is for; shown to administrators.
        lifetime
            Absolute end.
        idle
            Ends earlier after this time without a request; ``None`` for machine tokens.
        awaits_code
            Only the password was right so far: the session is nobody's until :meth:`finish_session`.
        """
        token = secrets.token_urlsafe(32)
        moment = clock.now()
        session = self._tables.session
        row = {
            "token_hash": _token_hash(token),
            "account": user.name,
            "label": label,
            "opened": moment,
            "last_seen": moment,
            "expires": moment + lifetime,
            "idle_s": int(idle.total_seconds()) if idle is not None else None,
            "awaits_code": awaits_code,
        }
        with database.begin() as connection:
            connection.execute(sa.delete(session).where(session.c.expires < moment))
            connection.execute(sa.insert(session).values(row))
        return SessionInfo(token, user, moment + lifetime)

    def finish_session(self, database: Database, token: str, code: str) -> SessionInfo:
        """Open the session for which a right password waits, with the code that was missing.

        Raises
        ------
        NotSignedIn
            If no password waits, or it waited too long.
        WrongCode, LoginThrottled
        """
        session = self._tables.session
        query = sa.select(session.c.expires, self._tables.account).join(self._tables.account)
        query = query.where(session.c.token_hash == _token_hash(token), session.c.awaits_code)
        with database.connect() as connection:
            row = connection.execute(query).one_or_none()
            if row is not None:
                self._refuse_blocked(connection, row.name)
        if row is None or row.is_disabled or row.expires <= clock.now():
            raise NotSignedIn("Sign in first.")
        self._take_code(database, row.name, code)
        with database.begin() as connection:
            throttle = self._tables.throttle
            connection.execute(sa.delete(throttle).where(throttle.c.name == row.name[:80]))
            connection.execute(sa.delete(session).where(session.c.token_hash == _token_hash(token)))
        return self.open_session(database, _user(row))

    def user_of_session(
        self, database: Database, token: str, reading: sa.Connection | None = None
    ) -> User | None:
        """Return who a token belongs to; ``None`` for unknown, expired, idle or disabled.

        Parameters
        ----------
        reading
            A transaction that reads and goes on with it; else one of its own.
        """
        session, token_hash = self._tables.session, _token_hash(token)
        with contextlib.nullcontext(reading) if reading is not None else database.connect() as connection:
            row = next(iter(self._session_query.rows(connection, {"token_hash": token_hash})), None)
        moment = clock.now()
        if row is None or row.is_disabled or row.awaits_code or row.expires <= moment:
            return None
        if row.idle_s is not None:
            if moment - row.last_seen > timedelta(seconds=row.idle_s):
                self.close_session(database, token)
                return None
            if moment - row.last_seen > _TOUCH_EVERY:
                update = sa.update(session).where(session.c.token_hash == token_hash)
                with database.begin() as connection:
                    connection.execute(update.values(last_seen=moment))
        return _user(row)

    def close_session(self, database: Database, token: str) -> None:
        """End a session; an unknown token is no error."""
        session = self._tables.session
        with database.begin() as connection:
            connection.execute(sa.delete(session).where(session.c.token_hash == _token_hash(token)))

    def _row(self, connection: sa.Connection, name: str) -> sa.Row[Any] | None:
        table = self._tables.account
        return connection.execute(sa.select(table).where(table.c.name == name)).one_or_none()

    def _change(self, connection: sa.Connection, name: str, values: dict[str, object]) -> None:
        table = self._tables.account
        if connection.execute(sa.update(table).where(table.c.name == name).values(values)).rowcount != 1:
            raise NoSuchAccount("There is no account of this name.")

    def _end_sessions(self, connection: sa.Connection, name: str) -> None:
        session = self._tables.session
        connection.execute(sa.delete(session).where(session.c.account == name))

    def _take_code(self, database: Database, name: str, code: str) -> None:
        with database.begin() as connection:
            # Read where it is written: of two requests with one code one comes first.
            row = self._row(connection, name)
            step = row and second_factor.step_of(
                row.second_factor, code, clock.now(), after_step=row.last_code_step
            )
            left = None if row is None else second_factor.without_recovery_code(row.recovery_hashes, code)
            if step is not None:
                self._change(connection, name, {"last_code_step": step})
                return
            if left is not None:
                self._change(connection, name, {"recovery_hashes": left})
                return
            self._count_failure(connection, name)
        raise WrongCode("The one-time code is wrong, used already or too old. Wait for the next one.")

    def _refuse_blocked(self, connection: sa.Connection, name: str) -> None:
        throttle = self._tables.throttle
        query = sa.select(throttle.c.blocked_until).where(throttle.c.name == name[:80])
        blocked_until = connection.execute(query).scalar_one_or_none()
        if blocked_until is not None and blocked_until > clock.now():
            wait_s = int((blocked_until - clock.now()).total_seconds()) + 1
            raise LoginThrottled(
                f"Too many wrong passwords. Try again in {wait_s} seconds.", retry_after_s=wait_s
            )

    def _count_failure(self, connection: sa.Connection, name: str) -> None:
        throttle, key = self._tables.throttle, name[:80]
        query = sa.select(throttle.c.failures).where(throttle.c.name == key)
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(hashtext(:key))"), {"key": key})
        before = connection.execute(query).scalar_one_or_none()
        failures = (before or 0) + 1
        wait = min(timedelta(seconds=2.0 ** min(failures - FREE_FAILURES, 20)), MAX_WAIT)
        values = {
            "failures": failures,
            "blocked_until": clock.now() + wait if failures >= FREE_FAILURES else None,
        }
        if before is None:
            connection.execute(sa.insert(throttle).values(name=key, **values))
        else:
            connection.execute(sa.update(throttle).where(throttle.c.name == key).values(values))

    def _decoy_hash(self) -> str:
        if self._decoy is None:
            self._decoy = _HASHER.hash(secrets.token_urlsafe(16))
        return self._decoy


def hash_password(password: str) -> str:
    """Hash a password with argon2id.

    Raises
    ------
    WeakPassword
    """
    if len(password) < MIN_PASSWORD_LENGTH:
        raise WeakPassword(f"The password needs at least {MIN_PASSWORD_LENGTH} characters.")
    return _HASHER.hash(password)


def _fits(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _token_hash(token: str) -> str:
    # A token has 256 random bits, so a fast hash is enough: there is nothing to guess.
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


_ROLES = {role.value: role for role in Role}


def _user(row: sa.Row[Any]) -> User:
    roles = frozenset(_ROLES[role] for role in row.roles if role in _ROLES)
    return User(
        row.name,
        roles,
        SiteCode(row.site) if row.site else None,
        # A provider's second factor was asked for when the session was opened.
        has_second_factor=bool(row.second_factor or row.provider),
        provider=row.provider,
    )
