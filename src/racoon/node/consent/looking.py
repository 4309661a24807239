"""What people are shown of the legal basis: one subject's permission, and who was told of withdrawals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.consent import _store
from racoon.node.consent.model import NoSuchSubject, WithdrawalState
from racoon.platform.audit import AuditLog
from racoon.platform.auth import User

NOTHING_KNOWN = "No consent document is known for this pseudonym."


@dataclass(frozen=True)
class ConsentStatus:
    """How the legal basis stands, in numbers.

    Parameters
    ----------
    permitted
        Subjects whose consent permits use today.
    outside
        Subjects with a consent whose period has ended or not begun.
    unconfirmed
        Subjects whose consent was not confirmed again in time, and is denied.
    not_erased
        Withdrawals in force whose images are not gone yet.
    unacknowledged
        Recipients' confirmations that are missing.
    overdue
        Those of them that are missing for fourteen days, by recipient.
    """

    permitted: int
    outside: int
    unconfirmed: int
    not_erased: int
    unacknowledged: int
    overdue: tuple[str, ...]


def status(connection: sa.Connection, now: datetime) -> ConsentStatus:
    """Count what the page of consent and the page of today show."""
    permit, block, stone = _store.permit, _store.block, _store.tombstone
    today = now.astimezone().date().isoformat()
    is_blocked = sa.exists().where(block.c.pseudonym == permit.c.pseudonym, block.c.scope == "")
    is_stale = sa.and_(permit.c.fresh_until.is_not(None), permit.c.fresh_until <= now)
    in_period = sa.and_(permit.c.permitted_from <= today, permit.c.permitted_until >= today)

    def count(*conditions: sa.ColumnElement[bool]) -> int:
        query = sa.select(sa.func.count()).select_from(permit).where(sa.not_(is_blocked), *conditions)
        return int(connection.execute(query).scalar_one())

    waiting = sa.select(stone.c.recipient, stone.c.escalated_at).where(stone.c.acknowledged_at.is_(None))
    missing = connection.execute(waiting).all()
    open_ = sa.select(sa.func.count()).where(_store.withdrawal.c.state == WithdrawalState.BLOCKED.value)
    return ConsentStatus(
        permitted=count(in_period, sa.not_(is_stale)),
        outside=count(sa.not_(in_period)),
        unconfirmed=count(in_period, is_stale),
        not_erased=int(connection.execute(open_).scalar_one()),
        unacknowledged=len(missing),
        overdue=tuple(sorted({row.recipient for row in missing if row.escalated_at is not None})),
    )


def record_look(connection: sa.Connection, audit: AuditLog, user: User, subject: str) -> None:
    """Audit that somebody looked at what is permitted of one subject."""
    audit.append(
        connection,
        actor=user.name,
        actor_role=user.main_role,
        action="consent.look",
        target=f"subject/{subject}",
    )


def describe_subject(connection: sa.Connection, pseudonym: Pseudonym) -> dict[str, Any]:
    """Say what is known of a subject's permission.

    Raises
    ------
    NoSuchSubject
        When there is neither document nor block.
    """
    known = _store.load_documents(connection, [pseudonym]).get(pseudonym, [])
    blocks = _store.load_blocks(connection, [pseudonym]).get(pseudonym, set())
    if not known and not blocks:
        raise NoSuchSubject(NOTHING_KNOWN)
    query = sa.select(_store.permit).where(_store.permit.c.pseudonym == pseudonym)
    permit = connection.execute(query).one_or_none()
    return {
        "pseudonym": pseudonym,
        "withdrawn_from": sorted(scope or "all" for scope in blocks),
        "permitted_from": permit.permitted_from if permit else None,
        "permitted_until": permit.permitted_until if permit else None,
        "documents": [
            {
                "identity": entry.document.identity,
                "version": entry.document.version,
                "domain": entry.document.domain,
                "given": entry.document.given.isoformat(),
                "is_active": entry.document.is_active,
                "source": entry.source,
                "fresh_until": entry.fresh_until.isoformat() if entry.fresh_until else None,
            }
            for entry in known
        ],
    }


def tombstones(connection: sa.Connection) -> list[dict[str, Any]]:
    """List all tombstones, newest first: who was told, and who confirmed."""
    table = _store.tombstone
    query = sa.select(table).order_by(table.c.created_at.desc(), table.c.tombstone_id)
    times = ("created_at", "sent_at", "acknowledged_at", "escalated_at")
    return [
        {
            **{name: value for name, value in row._mapping.items() if name not in times},
            **{name: value.isoformat() if (value := row._mapping[name]) else None for name in times},
        }
        for row in connection.execute(query)
    ]
