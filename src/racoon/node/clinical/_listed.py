"""Who is on which network's list: the network's name of a person beside ours, visits with shifted days."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.platform.database import metadata

listed = sa.Table(
    "clinical_listed",
    metadata("node"),
    sa.Column("project", sa.String(80), primary_key=True),
    sa.Column("person", sa.String(80), primary_key=True),
    sa.Column("visit", sa.String(40), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("day_number", sa.Integer),
)
"""``person`` is the network's pseudonym; the day is shifted as the subject's images, counted from 0001-01-01."""


def load(connection: sa.Connection, project: str) -> list[dict[str, Any]]:
    """Return a project's list, in its order."""
    query = sa.select(listed).where(listed.c.project == project).order_by(listed.c.person, listed.c.visit)
    return [dict(row._mapping) for row in connection.execute(query)]


def replace(connection: sa.Connection, project: str, rows: Sequence[dict[str, Any]]) -> int:
    """Put a list in the place of the one before; returns how many of its rows are gone."""
    before = {(row["person"], row["visit"]) for row in load(connection, project)}
    connection.execute(sa.delete(listed).where(listed.c.project == project))
    if rows:
        connection.execute(sa.insert(listed), list(rows))
    return len(before - {(row["person"], row["visit"]) for row in rows})


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Take a subject off every list; returns how many rows."""
    return connection.execute(sa.delete(listed).where(listed.c.pseudonym == pseudonym)).rowcount


def move_subject(connection: sa.Connection, old: Pseudonym, surviving: Pseudonym, days: int) -> None:
    """Give a subject's rows to the one that survives a merge, days moved as the rest of the course."""
    moved = {"pseudonym": surviving, "day_number": listed.c.day_number + days}
    connection.execute(sa.update(listed).where(listed.c.pseudonym == old).values(moved))
