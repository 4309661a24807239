"""From checked claims to an account: attempts that come back once, who is who by issuer and subject, mapped roles."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Role, SiteCode
from racoon.domain.permission import DECIDING_ROLES
from racoon.errors import Refused
from racoon.platform import clock
from racoon.platform.auth._store import TABLES
from racoon.platform.auth.accounts import hash_password
from racoon.platform.auth.grants import WAITS_FOR
from racoon.platform.auth.model import GrantKind, User
from racoon.platform.auth.oidc.provider import Attempt, TokenRefused
from racoon.platform.auth.oidc.settings import ProviderSettings
from racoon.platform.database import Database, RoleName

LASTS = timedelta(minutes=10)
"""How long somebody may take to sign in at the provider."""

SECOND_FACTORS = frozenset({"mfa", "otp", "hwk", "sc"})
"""Values of ``amr`` (RFC 8176 section 2) that say more than a password was asked for."""

LONGEST_NAME = 50


class NoRights(Refused):
    """Nothing the identity provider says of this person is mapped to a role here."""

    code = "auth.no_rights"


class AccountDisabled(Refused):
    """The account of this person is disabled here."""

    code = "auth.account_disabled"


class RolesWait(Refused):
    """Every role that the mapping gives decides, and nobody has confirmed it for this person yet."""

    code = "auth.roles_wait"


class SecondFactorUnproven(Refused):
    """A second factor is required here, and the identity provider does not say that it asked for one."""

    code = "auth.second_factor_unproven"


@dataclass(frozen=True)
class Returned:
    """An attempt that came back, once."""

    nonce: str
    verifier: str
    target: str


class ExternalSignIn:
    """Attempts and identities of one role."""

    def __init__(self, role: RoleName) -> None:
        self._tables = TABLES[role]
        self._deciding = DECIDING_ROLES[role]

    def remember(
        self, database: Database, provider: str, attempt: Attempt, *, browser: str, target: str
    ) -> None:
        """Keep an attempt until it comes back to the same browser."""
        table, moment = self._tables.sign_in_attempt, clock.now()
        row = {
            "state_hash": _hash(attempt.state),
            "provider": provider,
            "browser_hash": _hash(browser),
            "nonce": attempt.nonce,
            "verifier": attempt.verifier,
            "target": target,
            "ends": moment + LASTS,
        }
        with database.begin() as connection:
            connection.execute(sa.delete(table).where(table.c.ends < moment))
            connection.execute(sa.insert(table).values(row))

    def take(self, database: Database, provider: str, state: str, *, browser: str) -> Returned:
        """Take an attempt: once, in time, by the browser that began it, from the provider it was for.

        Raises
        ------
        TokenRefused
        """
        table = self._tables.sign_in_attempt
        mine = table.c.state_hash == _hash(state)
        with database.begin() as connection:
            row = connection.execute(sa.select(table).where(mine)).one_or_none()
            # Of two requests with one state one deletes the row.
            taken = connection.execute(sa.delete(table).where(mine)).rowcount
        if (
            row is None
            or taken != 1
            or row.ends < clock.now()
            or row.provider != provider
            or not secrets.compare_digest(row.browser_hash, _hash(browser))
        ):
            raise TokenRefused(
                "This sign-in was not begun here, took too long or was used already. Begin it again."
            )
        return Returned(row.nonce, row.verifier, row.target)

    def account(
        self,
        database: Database,
        provider: ProviderSettings,
        claims: Mapping[str, Any],
        *,
        site: SiteCode | str | None,
        needs_second_factor: bool,
    ) -> User:
        """Find or make the account of who signed in, with the roles that the mapping gives today.

        Roles that decide wait for a person here, as those of accounts with passwords do: who writes groups at the
        provider is nobody's second person.  Once confirmed they hold for as long as the mapping gives them.

        Raises
        ------
        NoRights, RolesWait, AccountDisabled, SecondFactorUnproven
        """
        roles = mapped_roles(provider, claims)
        if not roles:
            self._lose_roles(database, provider, claims)
            raise NoRights(
                "Your identity provider knows you, but nothing it says of you gives you a role here."
            )
        methods = claims.get("amr")
        is_proven = provider.second_factor == "trusted" or bool(
            SECOND_FACTORS & {item for item in methods or () if isinstance(item, str)}
        )
        if needs_second_factor and not is_proven:
            raise SecondFactorUnproven(
                "A second factor is required here, and your identity provider does not say that it asked for one."
            )
        identity, account = self._tables.external_identity, self._tables.account
        key = (identity.c.issuer == provider.issuer) & (identity.c.subject == claims["sub"])
        with database.begin() as connection:
            name = connection.execute(sa.select(identity.c.account).where(key)).scalar_one_or_none()
            if name is None:
                name = self._free_name(connection, provider, claims)
                row: dict[str, Any] = {
                    "name": name,
                    # Nobody knows it: this account signs in at its provider only.
                    "password_hash": hash_password(secrets.token_urlsafe(32)),
                    "roles": [],
                    "site": site,
                    "is_disabled": False,
                    "created": clock.now(),
                    "provider": provider.name,
                }
                connection.execute(sa.insert(account).values(row))
                linked = {"issuer": provider.issuer, "subject": claims["sub"], "account": name}
                connection.execute(sa.insert(identity).values(linked))
            else:
                found = connection.execute(sa.select(account.c.is_disabled).where(account.c.name == name))
                if found.scalar_one():
                    raise AccountDisabled("Your account is disabled here. Ask who manages accounts.")
            waiting = (roles & self._deciding) - self._confirmed(connection, name, roles)
            roles -= waiting
            if waiting:
                self._ask(connection, name, provider, waiting)
            names = sorted(role.value for role in roles)
            connection.execute(sa.update(account).where(account.c.name == name).values(roles=names))
        if not roles:
            raise RolesWait(
                "Your roles decide here, so somebody has to confirm them first. Tell who confirms accounts, and sign "
                "in again afterwards."
            )
        return User(str(name), roles, SiteCode(site) if site else None, provider=provider.name)

    def _lose_roles(self, database: Database, provider: ProviderSettings, claims: Mapping[str, Any]) -> None:
        """End what somebody still has here of an earlier sign-in whom the mapping gives nothing any more."""
        identity, account, session = (
            self._tables.external_identity,
            self._tables.account,
            self._tables.session,
        )
        key = (identity.c.issuer == provider.issuer) & (identity.c.subject == claims["sub"])
        with database.begin() as connection:
            name = connection.execute(sa.select(identity.c.account).where(key)).scalar_one_or_none()
            if name is not None:
                connection.execute(sa.update(account).where(account.c.name == name).values(roles=[]))
                connection.execute(sa.delete(session).where(session.c.account == name))
                self._confirmed(connection, name, frozenset())

    def _confirmed(self, connection: sa.Connection, name: str, mapped: frozenset[Role]) -> frozenset[Role]:
        """Return the deciding roles that people have confirmed for an account and the mapping still gives."""
        table = self._tables.grant
        found: set[Role] = set()
        query = sa.select(table.c.grant_id, table.c.roles).where(
            table.c.account == name, table.c.kind == GrantKind.MAPPED.value, table.c.state == "confirmed"
        )
        for row in connection.execute(query).all():
            kept = [role for role in row.roles if role in mapped]
            # A role that the provider took away is confirmed anew when it comes back.
            if kept != row.roles:
                connection.execute(
                    sa.update(table).where(table.c.grant_id == row.grant_id).values(roles=kept)
                )
            found.update(Role(role) for role in kept)
        return frozenset(found)

    def _ask(
        self, connection: sa.Connection, name: str, provider: ProviderSettings, roles: frozenset[Role]
    ) -> None:
        table, wanted = self._tables.grant, sorted(role.value for role in roles)
        mine = (table.c.account == name, table.c.kind == GrantKind.MAPPED.value, table.c.state == "waiting")
        query = sa.select(table.c.roles).where(*mine, table.c.asked_at > clock.now() - WAITS_FOR)
        if wanted in connection.execute(query).scalars().all():
            return
        connection.execute(sa.update(table).where(*mine).values(state="replaced"))
        connection.execute(
            sa.insert(table).values(
                grant_id=secrets.token_hex(8),
                account=name,
                kind=GrantKind.MAPPED.value,
                roles=wanted,
                asked_by=f"provider {provider.name}"[:80],
                asked_at=clock.now(),
                password_hash="",
                second_half="",
                state="waiting",
                decided_by="",
                decided_at=None,
            )
        )

    def _free_name(
        self, connection: sa.Connection, provider: ProviderSettings, claims: Mapping[str, Any]
    ) -> str:
        # "@" stands in no name of an embedded account, so none of those can be taken.
        called = re.sub(r"[^a-z0-9._-]+", "-", str(claims.get(provider.name_claim) or "").lower()).strip(
            "-._"
        )
        mark = hashlib.sha256(f"{provider.issuer}\n{claims['sub']}".encode()).hexdigest()[:8]
        account = self._tables.account
        for name in (f"{called[:LONGEST_NAME]}@{provider.name}", f"{called[:40]}-{mark}@{provider.name}"):
            is_free = (
                connection.execute(sa.select(account.c.name).where(account.c.name == name)).first() is None
            )
            if called and is_free:
                return name
        return f"{mark}@{provider.name}"


def mapped_roles(provider: ProviderSettings, claims: Mapping[str, Any]) -> frozenset[Role]:
    """Return the roles that the mapping gives for claims; none without a listed group.

    Examples
    --------
    >>> hospital = ProviderSettings(
    ...     name="hospital",
    ...     title="Hospital",
    ...     issuer="https://idp.example",
    ...     client_id="racoon",
    ...     roles_claim="realm_access.roles",
    ...     roles={"radiology": ("reader",)},
    ... )
    >>> sorted(mapped_roles(hospital, {"realm_access": {"roles": ["radiology", "golf"]}}))
    [<Role.READER: 'reader'>]
    >>> sorted(mapped_roles(hospital, {"groups": ["radiology"]}))
    []
    """
    found: Any = claims
    # A whole claim whose name has dots (an address, as some providers use) comes before a path.
    if provider.roles_claim in claims:
        found = claims[provider.roles_claim]
    else:
        for part in provider.roles_claim.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
    groups = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    return frozenset(
        role for group in groups if isinstance(group, str) for role in provider.roles.get(group, ())
    )


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
