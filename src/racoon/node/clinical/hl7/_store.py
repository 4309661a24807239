"""Merges that were worked off, by pseudonyms: what moved, and where images may still lie."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.node.clinical.hl7.model import Merge
from racoon.platform import clock
from racoon.platform.database import UtcDateTime, metadata

merge = sa.Table(
    "clinical_merge",
    metadata("node"),
    sa.Column("old_pseudonym", sa.String(64), primary_key=True),
    sa.Column("surviving_pseudonym", sa.String(64), nullable=False),
    sa.Column("merged_at", UtcDateTime, nullable=False),
    sa.Column("moved", sa.Integer, nullable=False),
)


def record_merge(connection: sa.Connection, old: Pseudonym, surviving: Pseudonym, moved: int) -> bool:
    """Keep a merge, or add what moved later to it; tells whether it is new."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"old_pseudonym": old, "surviving_pseudonym": surviving, "merged_at": clock.now(), "moved": moved}
    is_new = connection.execute(dialect.insert(merge).values(row).on_conflict_do_nothing()).rowcount == 1
    if not is_new and moved:
        connection.execute(
            sa.update(merge).where(merge.c.old_pseudonym == old).values(moved=merge.c.moved + moved)
        )
    return is_new


def load_merges(connection: sa.Connection) -> list[Merge]:
    """Return all merges, newest first, each with the pseudonym that is the last in its chain."""
    rows = connection.execute(
        sa.select(merge).order_by(merge.c.merged_at.desc(), merge.c.old_pseudonym)
    ).all()
    leads_to = {row.old_pseudonym: row.surviving_pseudonym for row in rows}
    found = []
    for row in rows:
        surviving = row.surviving_pseudonym
        while surviving in leads_to:
            surviving = leads_to[surviving]
        found.append(Merge(row.old_pseudonym, surviving, row.merged_at, row.moved))
    return found
