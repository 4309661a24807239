"""Accession numbers of imaging studies as tokens, and which order was linked by them: keys and replaced UIDs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.clinical import _store
from racoon.platform.database import UtcDateTime, metadata

AT_ONCE = 500

accession = sa.Table(
    "clinical_accession",
    metadata("node"),
    sa.Column("imaging_study_uid", sa.String(64), primary_key=True),
    sa.Column("token", _store.KEY, nullable=False, index=True),
)

link = sa.Table(
    "clinical_order_link",
    metadata("node"),
    sa.Column("order_key", _store.KEY, primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), primary_key=True, index=True),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("decided_by", sa.String(80), nullable=False),
    sa.Column("decided_at", UtcDateTime),
)
"""State ``linked``, ``doubt`` or ``refused``; who decided is empty where the rule did."""


def known_accessions(connection: sa.Connection) -> Counter[str]:
    """Count the studies of each token."""
    query = sa.select(accession.c.token, sa.func.count()).group_by(accession.c.token)
    return Counter({token: int(count) for token, count in connection.execute(query)})


def keep_accessions(connection: sa.Connection, studies: Mapping[str, Sequence[str]]) -> None:
    """Keep which studies came under which token."""
    rows = {uid: token for token, uids in sorted(studies.items()) for uid in uids}
    wanted = sorted(rows)
    for start in range(0, len(wanted), AT_ONCE):
        chunk = wanted[start : start + AT_ONCE]
        connection.execute(sa.delete(accession).where(accession.c.imaging_study_uid.in_(chunk)))
        connection.execute(
            sa.insert(accession), [{"imaging_study_uid": uid, "token": rows[uid]} for uid in chunk]
        )


def load_pairs(connection: sa.Connection, states_left_out: Collection[str]) -> list[sa.Row[Any]]:
    """Return the orders without a study UID beside the studies of their accession number."""
    order = _store.order
    query = (
        sa.select(
            order.c.key, order.c.pseudonym, order.c.authored, accession.c.token, accession.c.imaging_study_uid
        )
        .join(accession, accession.c.token == order.c.accession)
        .where(
            order.c.imaging_study_uid == "",
            order.c.accession != "",
            order.c.status.not_in(list(states_left_out)),
        )
        .order_by(order.c.key, accession.c.imaging_study_uid)
    )
    return list(connection.execute(query))


def replace_undecided(connection: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Put what the rule says now in the place of what it said before; what a person decided stands."""
    connection.execute(sa.delete(link).where(link.c.decided_by == ""))
    decided = {
        tuple(row) for row in connection.execute(sa.select(link.c.order_key, link.c.imaging_study_uid))
    }
    fresh = [
        {**row, "decided_by": "", "decided_at": None}
        for row in rows
        if (row["order_key"], row["imaging_study_uid"]) not in decided
    ]
    if fresh:
        connection.execute(sa.insert(link), fresh)


def load_links(connection: sa.Connection, state: str) -> list[sa.Row[Any]]:
    """Return links of a state with their orders."""
    order = _store.order
    query = (
        sa.select(link, order.c.pseudonym, order.c.authored, order.c.status)
        .join(order, order.c.key == link.c.order_key)
        .where(link.c.state == state)
        .order_by(link.c.order_key, link.c.imaging_study_uid)
    )
    return list(connection.execute(query))


def forget_studies(connection: sa.Connection, study_uids: Collection[str]) -> None:
    """Forget the accession tokens of some imaging studies, and which orders were linked to them."""
    wanted = sorted(study_uids)
    for start in range(0, len(wanted), AT_ONCE):
        chunk = wanted[start : start + AT_ONCE]
        for table in (accession, link):
            connection.execute(sa.delete(table).where(table.c.imaging_study_uid.in_(chunk)))


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Forget the links of a subject's orders; returns how many."""
    mine = sa.select(_store.order.c.key).where(_store.order.c.pseudonym == pseudonym)
    return connection.execute(sa.delete(link).where(link.c.order_key.in_(mine))).rowcount
