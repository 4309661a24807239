"""Brings rows of a table to a new state and writes only what is different.

A row that is the same is not written; one that differs is changed in its differing columns, so that no index of another
column is touched.  Replacing rows by deleting and inserting them would
write a page of every index for each of them, which over keys without any order is nearly all of the work.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.platform.texts import among

Row = Mapping[str, Any]
Key = tuple[Any, ...]


class Written(NamedTuple):
    """How many rows were inserted, changed and deleted."""

    inserted: int
    changed: int
    deleted: int


def rewrite(
    connection: sa.Connection,
    table: sa.Table,
    owner: sa.Column[str],
    owners: Collection[str],
    wanted: Iterable[Row],
) -> Written:
    """Let a table have these rows, and of some owners no others.

    Parameters
    ----------
    connection
        Open write transaction.
    table
        Has a primary key.
    owner
        Column that says which owner a row has.
    owners
        Those who may have rows already: what is not wanted of them goes.
    wanted
        Rows, of these owners and of new ones; all with the same columns.  Of two with the same primary key the first
        one counts.

    Returns
    -------
    Written
    """
    names = [column.name for column in table.primary_key]
    missing: dict[Key, Row] = {}
    for row in wanted:
        missing.setdefault(tuple(row[name] for name in names), row)
    changed: dict[tuple[str, ...], dict[Key, Row]] = {}
    deleted: dict[Key, Row] = {}
    present = connection.execute(sa.select(table).where(among(owner, owners))) if owners else ()
    for found in present:
        held = found._mapping
        key = tuple(held[name] for name in names)
        if key not in missing:
            deleted[key] = {}
            continue
        new = missing.pop(key)
        if differing := tuple(name for name in new if new[name] != held[name]):
            changed.setdefault(differing, {})[key] = {f"new_{name}": new[name] for name in differing}
    is_row = sa.and_(*(column == sa.bindparam(f"is_{column.name}") for column in table.primary_key))
    _execute(connection, sa.delete(table).where(is_row), names, deleted)
    for differing, rows in changed.items():
        values = {name: sa.bindparam(f"new_{name}", type_=table.c[name].type) for name in differing}
        _execute(connection, sa.update(table).where(is_row).values(values), names, rows)
    insert(connection, table, missing.values())
    return Written(len(missing), sum(map(len, changed.values())), len(deleted))


def insert(connection: sa.Connection, table: sa.Table, rows: Iterable[Row]) -> None:
    """Insert rows in their order: what comes together lies together.  One whose key is there already is left out."""
    given = [dict(row) for row in rows]
    if given:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), given)


def _execute(
    connection: sa.Connection, statement: sa.Executable, names: Sequence[str], rows: Mapping[Key, Row]
) -> None:
    """Execute for each row, in the order of the primary key."""
    ordered = [
        {f"is_{name}": part for name, part in zip(names, key, strict=True)} | dict(rows[key])
        for key in sorted(rows)
    ]
    if ordered:
        connection.execute(statement, ordered)
