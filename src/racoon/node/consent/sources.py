"""Consents that a service keeps: its newest answer replaces what it said before, and no answer permits nothing."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.consent import _store
from racoon.node.consent.model import KnownDocument, Withdrawal
from racoon.node.consent.service import Consent
from racoon.platform import clock


def take_answer(
    connection: sa.Connection,
    consent: Consent,
    source: str,
    asked: Collection[Pseudonym],
    items: Sequence[KnownDocument],
    *,
    actor: str,
    actor_role: str,
) -> list[Withdrawal]:
    """Take a source's whole answer about some subjects into force.

    Parameters
    ----------
    connection
        Open write transaction.
    consent
        The legal basis.
    source
        Name of the source; documents of other sources stay as they are.
    asked
        Subjects it was asked about.  A document of theirs that it told before and tells no longer is removed; a
        withdrawal that was recorded stays.
    items
        Their documents as of now.

    Returns
    -------
    list of Withdrawal
        New ones.
    """
    table, kept = _store.document, {item.document.identity for item in items}
    gone: set[Pseudonym] = set()
    for chunk in _store.chunks(asked):
        query = sa.select(table.c.key, table.c.pseudonym).where(
            table.c.source == source, table.c.pseudonym.in_(chunk)
        )
        lost = [row for row in connection.execute(query) if row.key not in kept]
        if lost:
            connection.execute(sa.delete(table).where(table.c.key.in_([row.key for row in lost])))
            gone |= {Pseudonym(row.pseudonym) for row in lost}
    consent.renew_permits(connection, gone)
    return consent.record_documents(connection, items, actor=actor, actor_role=actor_role)


def drop_documents(connection: sa.Connection, consent: Consent, source: str, keys: Collection[str]) -> int:
    """Take documents out that their source deleted; what they permitted ends with the caller's transaction.

    A withdrawal that such a document made stays: who withdrew has to consent anew.  Returns how many.
    """
    table, gone, count = _store.document, set[Pseudonym](), 0
    for chunk in _store.chunks(keys):
        lost = sa.and_(table.c.source == source, table.c.key.in_(chunk))
        gone |= {
            Pseudonym(name) for name in connection.execute(sa.select(table.c.pseudonym).where(lost)).scalars()
        }
        count += connection.execute(sa.delete(table).where(lost)).rowcount
    consent.renew_permits(connection, gone)
    return count


def distrust(connection: sa.Connection, source: str) -> int:
    """Let nothing count any more that a source said, until it answers again; returns how many documents.

    Reads stop with the caller's transaction.
    """
    table, now = _store.document, clock.now()
    subjects = sa.select(table.c.pseudonym).where(table.c.source == source)
    connection.execute(
        sa.update(_store.permit)
        .where(
            _store.permit.c.pseudonym.in_(subjects),
            sa.or_(_store.permit.c.fresh_until.is_(None), _store.permit.c.fresh_until > now),
        )
        .values(fresh_until=now)
    )
    aged = connection.execute(
        sa.update(table)
        .where(
            table.c.source == source,
            sa.or_(table.c.fresh_until.is_(None), table.c.fresh_until > now),
        )
        .values(fresh_until=now)
    )
    return aged.rowcount
