"""Under which number a resource came that lies under another one since a merge: what a merge needs to be taken back.

Keys and pseudonyms only.  What came under the surviving number before the merge has no row here and stays where it is;
what came under it afterwards is noted as its own: a hospital writes everything new under the number that stands.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.node.clinical import _merge_store, _store
from racoon.platform.database import metadata

AT_ONCE = 500

origin = sa.Table(
    "clinical_origin",
    metadata("node"),
    sa.Column("key", _store.KEY, primary_key=True),
    sa.Column("own_pseudonym", sa.String(64), nullable=False, index=True),
)


def note(connection: sa.Connection, keys: Iterable[str], own: Pseudonym) -> None:
    """Note that resources came under a number of their own; the first note stands, also through further merges."""
    rows = [{"key": key, "own_pseudonym": own} for key in keys]
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(origin).on_conflict_do_nothing(), rows)


def note_among_merged(
    connection: sa.Connection, came: Mapping[str, tuple[Pseudonym, Pseudonym | None]]
) -> None:
    """Note of new resources under which number they came, where a merge leads to their subject.

    Parameters
    ----------
    came
        Key of a resource to its subject, and to the pseudonym of the number that its source names where that one was
        merged into the subject's.
    """
    surviving = _merge_store.surviving(connection)
    by_own: dict[Pseudonym, list[str]] = {}
    for key, (subject, own) in came.items():
        if own is not None or subject in surviving:
            by_own.setdefault(own or subject, []).append(key)
    for own, keys in sorted(by_own.items()):
        note(connection, sorted(keys), own)


def among_merged(connection: sa.Connection, pseudonym: Pseudonym) -> set[str]:
    """Return what came under a subject's own number while another one led to it, and lies there still."""
    table = _store.resource
    query = (
        sa.select(origin.c.key)
        .join(table, table.c.key == origin.c.key)
        .where(table.c.pseudonym == pseudonym, origin.c.own_pseudonym == pseudonym, table.c.kind != "Patient")
    )
    return set(connection.execute(query).scalars())


def forget(connection: sa.Connection, keys: Collection[str]) -> None:
    """Forget notes."""
    wanted = sorted(keys)
    for start in range(0, len(wanted), AT_ONCE):
        chunk = wanted[start : start + AT_ONCE]
        connection.execute(sa.delete(origin).where(origin.c.key.in_(chunk)))


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> None:
    """Forget everything that was noted of a subject's own number or lies under its pseudonym."""
    lies_there = sa.select(_store.resource.c.key).where(_store.resource.c.pseudonym == pseudonym)
    connection.execute(
        sa.delete(origin).where(sa.or_(origin.c.own_pseudonym == pseudonym, origin.c.key.in_(lies_there)))
    )


def of_subject(connection: sa.Connection, pseudonym: Pseudonym) -> dict[Pseudonym, set[str]]:
    """Return the keys of what lies under a pseudonym and came under another one, by that one."""
    table = _store.resource
    query = (
        sa.select(origin.c.key, origin.c.own_pseudonym)
        .join(table, table.c.key == origin.c.key)
        .where(table.c.pseudonym == pseudonym, origin.c.own_pseudonym != pseudonym)
    )
    found: dict[Pseudonym, set[str]] = {}
    for row in connection.execute(query):
        found.setdefault(Pseudonym(row.own_pseudonym), set()).add(row.key)
    return found
