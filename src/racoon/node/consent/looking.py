"""What people are shown of the legal basis: one subject's permission, and who was told of withdrawals."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.consent import _store
from racoon.node.consent.model import NoSuchSubject


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
        raise NoSuchSubject("No consent document is known for this pseudonym.")
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
