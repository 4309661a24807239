"""Requests to learn who a subject is: one person asks with a reason, another one agrees, the first one is told.

The patient's number is never stored here: it is looked up each time it is shown, and each time is audited before it is
shown.
"""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.errors import Refused
from racoon.node.pseudonyms.model import (
    ARCHIVE_DOMAIN,
    LONGEST_REASON,
    SHORTEST_REASON,
    ReidentificationRefused,
    ReidentificationRequest,
    is_pseudonym,
)
from racoon.node.pseudonyms.service import REIDENTIFY, Pseudonymiser, reidentify
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User
from racoon.platform.auth.people import is_same_person
from racoon.platform.database import Database, UtcDateTime, metadata

ANSWERED_FOR = timedelta(hours=24)
"""How long after the second person agreed the first one may look."""

WAITS_FOR = timedelta(days=7)
"""A request nobody decided ends by itself."""

_REQUESTS = sa.Table(
    "reidentification",
    metadata("node"),
    sa.Column("request_id", sa.String(32), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("domain", sa.String(128), nullable=False),
    sa.Column("reason", sa.String(500), nullable=False),
    sa.Column("asked_by", sa.String(80), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False, index=True),
    sa.Column("is_agreed", sa.Boolean),
    sa.Column("decided_by", sa.String(80), nullable=False),
    sa.Column("decided_roles", sa.String(200), nullable=False),
    sa.Column("decided_at", UtcDateTime),
    sa.Column("shown", sa.Integer, nullable=False),
)


class RequestState(StrEnum):
    """Where a request stands."""

    WAITING = "waiting"
    AGREED = "agreed"
    REFUSED = "refused"
    EXPIRED = "expired"


class NoSuchRequest(Refused):
    """No request of this id."""

    code = "pseudonyms.no_such_request"
    status = 404


@dataclass(frozen=True)
class Request:
    """One request.

    Parameters
    ----------
    pseudonym, domain
        Whom it is about; the domain is ``archive`` or a study.
    reason
        Plain words; kept in the audit.
    shown
        How often the answer was looked up.
    """

    request_id: str
    state: RequestState
    pseudonym: Pseudonym
    domain: str
    reason: str
    asked_by: str
    asked_at: datetime
    decided_by: str
    decided_at: datetime | None
    shown: int


class Reidentifications:
    """Requests of one node.

    Parameters
    ----------
    database, audit
        Those of the node.
    open_names
        Opens the door to who is who; called only to show an agreed answer.
    """

    def __init__(self, database: Database, audit: AuditLog, open_names: Callable[[], Pseudonymiser]) -> None:
        self._database = database
        self._audit = audit
        self._open_names = open_names

    def ask(self, pseudonym: str, *, study_id: str = "", reason: str, user: User) -> Request:
        """Ask who a subject is.

        Parameters
        ----------
        pseudonym
            As it stands in the archive or, with ``study_id``, in a study.

        Raises
        ------
        ReidentificationRefused
            If the pseudonym is mistyped or the reason says nothing.
        """
        pseudonym, reason = pseudonym.strip().upper(), " ".join(reason.split())
        if not is_pseudonym(pseudonym):
            raise ReidentificationRefused(
                "This is not a pseudonym of a node: its check character does not fit."
            )
        if not SHORTEST_REASON <= len(reason) <= LONGEST_REASON:
            raise ReidentificationRefused("Re-identification needs a reason in plain words.")
        row = {
            "request_id": secrets.token_hex(8),
            "pseudonym": pseudonym,
            "domain": study_id.strip() or ARCHIVE_DOMAIN,
            "reason": reason,
            "asked_by": user.name,
            "asked_at": clock.now(),
            "is_agreed": None,
            "decided_by": "",
            "decided_roles": "",
            "decided_at": None,
            "shown": 0,
        }
        with self._database.begin() as connection:
            connection.execute(sa.insert(_REQUESTS), row)
            self._write_audit(connection, f"{REIDENTIFY}.ask", row, user, reason)
        return self.get(str(row["request_id"]))

    def decide(self, request_id: str, *, is_agreed: bool, user: User) -> Request:
        """Agree with another person's request, or refuse it.

        Raises
        ------
        NoSuchRequest
        ReidentificationRefused
            If it is decided or too old, or a person would agree with the own request.
        """
        found = self.get(request_id)
        if found.state is not RequestState.WAITING:
            raise ReidentificationRefused("This request is decided or too old. Ask again.")
        with self._database.connect() as connection:
            is_same = is_same_person("node", connection, found.asked_by, user.name)
        if is_agreed and is_same:
            raise ReidentificationRefused("Re-identification needs a second person.")
        changed = (
            sa.update(_REQUESTS)
            .where(_REQUESTS.c.request_id == request_id, _REQUESTS.c.is_agreed.is_(None))
            .values(
                is_agreed=is_agreed,
                decided_by=user.name,
                decided_roles=_roles(user),
                decided_at=clock.now(),
            )
        )
        with self._database.begin() as connection:
            if connection.execute(changed).rowcount != 1:
                raise ReidentificationRefused("This request is decided or too old. Ask again.")
            action = f"{REIDENTIFY}.{'agree' if is_agreed else 'refuse'}"
            row = {"request_id": request_id, "pseudonym": found.pseudonym, "domain": found.domain}
            self._write_audit(connection, action, row, user, found.reason)
        return self.get(request_id)

    def answer(self, request_id: str, *, user: User) -> PatientId:
        """Tell the one who asked, after another person agreed; each time is audited first.

        Raises
        ------
        NoSuchRequest
        ReidentificationRefused
            If nobody agreed, it is too long ago, or somebody else asked.
        UnknownPseudonym
            If nothing is recorded.
        """
        found = self.get(request_id)
        if found.state is not RequestState.AGREED:
            raise ReidentificationRefused(
                "Nobody has agreed to this request, or it is too long ago. Ask again."
            )
        if found.asked_by != user.name:
            raise ReidentificationRefused("The answer is shown to the person who asked, and to nobody else.")
        with self._database.begin() as connection:
            counted = sa.update(_REQUESTS).where(_REQUESTS.c.request_id == request_id)
            connection.execute(counted.values(shown=_REQUESTS.c.shown + 1))
            second_roles = connection.execute(
                sa.select(_REQUESTS.c.decided_roles).where(_REQUESTS.c.request_id == request_id)
            ).scalar_one()
        request = ReidentificationRequest(
            actor=user.name,
            actor_roles=frozenset(role.value for role in user.roles),
            second_person=found.decided_by,
            second_roles=frozenset(filter(None, second_roles.split(","))),
            reason=found.reason,
        )
        with contextlib.closing(self._open_names()) as names:
            return reidentify(
                names, found.pseudonym, found.domain, request, database=self._database, audit=self._audit
            )

    def get(self, request_id: str) -> Request:
        """Return one request.

        Raises
        ------
        NoSuchRequest
        """
        query = sa.select(_REQUESTS).where(_REQUESTS.c.request_id == request_id)
        with self._database.connect() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            raise NoSuchRequest("There is no such request.")
        return _request(row)

    def newest(self, limit: int) -> list[Request]:
        """List requests, newest first."""
        query = sa.select(_REQUESTS).order_by(_REQUESTS.c.asked_at.desc(), _REQUESTS.c.request_id)
        with self._database.connect() as connection:
            return [_request(row) for row in connection.execute(query.limit(limit))]

    def _write_audit(
        self, connection: sa.Connection, action: str, row: dict[str, Any], user: User, reason: str
    ) -> None:
        self._audit.append(
            connection,
            actor=user.name,
            actor_role=_roles(user),
            action=action,
            target=f"{row['domain']}/{row['pseudonym']}",
            purpose=reason,
            details={"request": row["request_id"]},
        )


def _request(row: sa.Row[Any]) -> Request:
    return Request(
        request_id=row.request_id,
        state=_state(row),
        pseudonym=Pseudonym(row.pseudonym),
        domain=row.domain,
        reason=row.reason,
        asked_by=row.asked_by,
        asked_at=row.asked_at,
        decided_by=row.decided_by,
        decided_at=row.decided_at,
        shown=row.shown,
    )


def _state(row: sa.Row[Any]) -> RequestState:
    if row.is_agreed is None:
        return RequestState.EXPIRED if clock.now() - row.asked_at > WAITS_FOR else RequestState.WAITING
    if not row.is_agreed:
        return RequestState.REFUSED
    return RequestState.EXPIRED if clock.now() - row.decided_at > ANSWERED_FOR else RequestState.AGREED


def _roles(user: User) -> str:
    return ",".join(sorted(user.roles))
