"""Merges that were worked off, by pseudonyms: what moved, and where images may still lie."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.platform import clock
from racoon.platform.database import UtcDateTime, metadata


@dataclass(frozen=True)
class Merge:
    """One merge of two numbers, by pseudonyms.

    Parameters
    ----------
    old, surviving
        Pseudonyms.
    merged_at
        When it was worked off.
    rows
        Resources that were moved to the surviving pseudonym.
    imaging_studies
        Imaging studies that still lie under the old one: a person moves them.
    """

    old: str
    surviving: str
    merged_at: datetime
    rows: int
    imaging_studies: int = 0


@dataclass(frozen=True)
class Parting:
    """A merge that was taken back, by pseudonyms.

    Parameters
    ----------
    old, surviving
        Pseudonyms.
    merged_at, parted_at
        When either was worked off.
    moved
        Resources that went back to the old pseudonym.
    imaging_studies
        Imaging studies that came under the surviving pseudonym in between: nobody knows by which number.
    """

    old: str
    surviving: str
    merged_at: datetime
    parted_at: datetime
    moved: int
    imaging_studies: int = 0


merge = sa.Table(
    "clinical_merge",
    metadata("node"),
    sa.Column("old_pseudonym", sa.String(64), primary_key=True),
    sa.Column("surviving_pseudonym", sa.String(64), nullable=False),
    sa.Column("merged_at", UtcDateTime, nullable=False),
    sa.Column("moved", sa.Integer, nullable=False),
)


parting = sa.Table(
    "clinical_parting",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("old_pseudonym", sa.String(64), nullable=False),
    sa.Column("surviving_pseudonym", sa.String(64), nullable=False),
    sa.Column("merged_at", UtcDateTime, nullable=False),
    sa.Column("parted_at", UtcDateTime, nullable=False),
    sa.Column("moved", sa.Integer, nullable=False),
)
"""Merges that were taken back."""


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


def load_merge(connection: sa.Connection, old: Pseudonym) -> Merge | None:
    """Return the merge of an old pseudonym."""
    row = connection.execute(sa.select(merge).where(merge.c.old_pseudonym == old)).one_or_none()
    return (
        None if row is None else Merge(row.old_pseudonym, row.surviving_pseudonym, row.merged_at, row.moved)
    )


def record_parting(connection: sa.Connection, taken_back: Merge, moved: int) -> None:
    """Keep that a merge was taken back, and forget it as a merge."""
    connection.execute(sa.delete(merge).where(merge.c.old_pseudonym == taken_back.old))
    connection.execute(
        sa.insert(parting).values(
            old_pseudonym=taken_back.old,
            surviving_pseudonym=taken_back.surviving,
            merged_at=taken_back.merged_at,
            parted_at=clock.now(),
            moved=moved,
        )
    )


def load_partings(connection: sa.Connection) -> list[Parting]:
    """Return the merges that were taken back, newest first."""
    rows = connection.execute(sa.select(parting).order_by(parting.c.id.desc()))
    return [
        Parting(row.old_pseudonym, row.surviving_pseudonym, row.merged_at, row.parted_at, row.moved)
        for row in rows
    ]


def surviving(connection: sa.Connection) -> set[Pseudonym]:
    """Return the pseudonyms to which others lead."""
    found = connection.execute(sa.select(merge.c.surviving_pseudonym).distinct()).scalars()
    return {Pseudonym(name) for name in found}


def joined(connection: sa.Connection, pseudonym: Pseudonym) -> set[Pseudonym]:
    """Return the other pseudonyms of a person whose numbers were merged, in whatever direction."""
    found, waiting = {str(pseudonym)}, [str(pseudonym)]
    while waiting:
        name = waiting.pop()
        query = sa.select(merge.c.old_pseudonym, merge.c.surviving_pseudonym).where(
            sa.or_(merge.c.old_pseudonym == name, merge.c.surviving_pseudonym == name)
        )
        fresh = {other for row in connection.execute(query) for other in row} - found
        found |= fresh
        waiting += fresh
    return {Pseudonym(name) for name in found} - {pseudonym}


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
