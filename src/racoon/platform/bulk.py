"""Loads much into empty tables without their indexes, which are built once at the end.

Keys here are tokens without any order, so every row touches another page of every index: with millions of rows that is
most of the work.  Built from sorted rows, an index costs a small part of it.  Primary keys stay, so nothing comes
twice; queries stay right and are slower meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import sqlalchemy as sa

from racoon.platform.database import Database

SORT_THREADS: Final = 2
"""Helpers of SQLite's sorter while an index is built; the bulk of the work is sorting, and it has one otherwise."""


@contextmanager
def indexed_afterwards(database: Database, tables: Sequence[sa.Table]) -> Iterator[bool]:
    """Drop the indexes of tables that are all empty, and build them when the work is done or has failed.

    A process that is killed in between leaves them out; :func:`restore_indexes` is for the next one.

    Yields
    ------
    bool
        Whether they were dropped; tables with rows keep theirs.
    """
    with database.begin() as connection:
        is_empty = not any(connection.execute(sa.select(table.c[0]).limit(1)).first() for table in tables)
        if is_empty:
            for table in tables:
                for index in sorted(table.indexes, key=_name):
                    index.drop(connection, checkfirst=True)
    try:
        yield is_empty
    finally:
        restore_indexes(database, tables)


def restore_indexes(database: Database, tables: Sequence[sa.Table]) -> int:
    """Build the indexes that are missing, each in a transaction of its own; returns how many."""
    built = 0
    for table in tables:
        with database.connect() as connection:
            present = {item["name"] for item in sa.inspect(connection).get_indexes(table.name)}
        for index in sorted(table.indexes, key=_name):
            if _name(index) not in present:
                with database.begin() as connection, _sorted_by_helpers(connection):
                    index.create(connection, checkfirst=True)
                built += 1
    return built


@contextmanager
def _sorted_by_helpers(connection: sa.Connection) -> Iterator[None]:
    """Let SQLite sort with helper threads; the connection goes back to its pool as it came."""
    if connection.dialect.name != "sqlite":
        yield
        return
    before = connection.exec_driver_sql("PRAGMA threads").scalar_one()
    connection.exec_driver_sql(f"PRAGMA threads={SORT_THREADS}")
    try:
        yield
    finally:
        connection.exec_driver_sql(f"PRAGMA threads={before}")


def _name(index: sa.Index) -> str:
    return str(index.name)
