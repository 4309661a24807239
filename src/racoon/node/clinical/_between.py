"""What came under a surviving number while another one led to it, until a person says whose it is.

A hospital that merged two numbers writes everything new under the one that stands: when it parts them, nobody can tell
from the number whose it was.  It stays where it lies, and its subject is not used for a study.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.clinical import _store
from racoon.platform import clock
from racoon.platform.database import UtcDateTime, metadata

AT_ONCE = 500

between = sa.Table(
    "clinical_between",
    metadata("node"),
    sa.Column("key", _store.KEY, primary_key=True),
    sa.Column("old_pseudonym", sa.String(64), nullable=False),
    sa.Column("surviving_pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("parted_at", UtcDateTime, nullable=False),
)


def note(connection: sa.Connection, keys: Collection[str], old: Pseudonym, surviving: Pseudonym) -> None:
    """List resources whose owner nobody can tell, after two numbers were parted."""
    forget(connection, keys)
    rows = [
        {"key": key, "old_pseudonym": old, "surviving_pseudonym": surviving, "parted_at": clock.now()}
        for key in sorted(keys)
    ]
    if rows:
        connection.execute(sa.insert(between), rows)


def forget(connection: sa.Connection, keys: Collection[str]) -> None:
    """Take resources off the list."""
    wanted = sorted(keys)
    for start in range(0, len(wanted), AT_ONCE):
        connection.execute(sa.delete(between).where(between.c.key.in_(wanted[start : start + AT_ONCE])))


def keys_of_pair(connection: sa.Connection, first: Pseudonym, second: Pseudonym) -> set[str]:
    """Return what waits between two subjects."""
    pair = (first, second)
    query = sa.select(between.c.key).where(
        between.c.old_pseudonym.in_(pair), between.c.surviving_pseudonym.in_(pair)
    )
    return set(connection.execute(query).scalars())


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Take off the list what lies with a subject, or may be his; returns how many."""
    mine = sa.or_(between.c.old_pseudonym == pseudonym, between.c.surviving_pseudonym == pseudonym)
    return connection.execute(sa.delete(between).where(mine)).rowcount


def load(connection: sa.Connection, keys: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Return what waits, the oldest parting first, with type and content; of some keys or all."""
    table = _store.resource
    query = sa.select(between, table.c.kind, table.c.content).join(table, table.c.key == between.c.key)
    if keys is not None:
        query = query.where(between.c.key.in_(list(keys)[:AT_ONCE]))
    found = connection.execute(query.order_by(between.c.parted_at, table.c.kind, between.c.key))
    return [dict(row._mapping) for row in found]


def waiting_subjects(connection: sa.Connection) -> set[Pseudonym]:
    """Return the subjects with whom something lies of which nobody knows whose it is."""
    table = _store.resource
    query = sa.select(between.c.surviving_pseudonym).join(table, table.c.key == between.c.key).distinct()
    return {Pseudonym(name) for name in connection.execute(query).scalars()}
