"""Moves what is stored of one subject to another one: the pseudonym, and the dates by the difference of two shifts.

Works on what is de-identified; the real days are not known here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, timedelta
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.clinical import _listed, _origins, _store
from racoon.node.clinical._removal_tables import removal
from racoon.node.clinical.deidentify import DATE_ELEMENTS
from racoon.node.clinical.flat import rows_of
from racoon.node.clinical.importing import RowsListener
from racoon.standards.fhir.building import Resource

AT_ONCE = 500


def move_subject(
    connection: sa.Connection,
    old: Pseudonym,
    surviving: Pseudonym,
    days: int,
    on_stored: Sequence[RowsListener] = (),
    *,
    keys: Collection[str] | None = None,
) -> int:
    """Give every resource of a subject, and its rows, to another subject; returns how many.

    Parameters
    ----------
    connection
        Open write transaction.
    old, surviving
        Pseudonyms.
    days
        Shift of the surviving one less that of the old one.
    on_stored
        Listeners that keep tables of their own.
    keys
        Only these resources, which go back to where they came from; all when None, and where they came from is noted.
    """
    table = _store.resource
    has_person = (
        sa.select(table.c.key).where(table.c.kind == "Patient", table.c.pseudonym == surviving).limit(1)
    )
    is_known = connection.execute(has_person).one_or_none() is not None
    if keys is None:
        statement = sa.update(removal).where(removal.c.pseudonym == old).values(pseudonym=surviving)
        connection.execute(statement)
        _listed.move_subject(connection, old, surviving, days)
    moved = 0
    left = sorted(keys) if keys is not None else None
    while True:
        query = sa.select(table).where(table.c.pseudonym == old).order_by(table.c.key).limit(AT_ONCE)
        if left is not None:
            chunk, left = left[:AT_ONCE], left[AT_ONCE:]
            query = query.where(table.c.key.in_(chunk))
            if not chunk:
                return moved
        rows = [dict(row._mapping) for row in connection.execute(query)]
        if not rows:
            if left:
                continue
            return moved
        # Two records of one person: the surviving one stands.
        gone = [row["key"] for row in rows if row["kind"] == "Patient" and is_known]
        if gone:
            _store.delete_rows(connection, dict.fromkeys(gone, "Patient"))
            connection.execute(sa.delete(table).where(table.c.key.in_(gone)))
        kept = [row for row in rows if row["key"] not in gone]
        flat: dict[str, list[dict[str, Any]]] = {}
        for row in kept:
            shift = 0 if row["kind"] == "Consent" else days
            content = rebased(row["content"], old, surviving, shift)
            text, digest = _store.written(content)
            row |= {"pseudonym": surviving, "content": text, "content_hash": digest}
            medicine = _medicine(connection, content)
            for name, line in rows_of(content, row["key"], surviving, medicine):
                flat.setdefault(name, []).append(line)
        _store.replace_rows(connection, kept, flat)
        for listener in on_stored:
            listener(connection, [row["key"] for row in rows], flat)
        if keys is None:
            _origins.note(connection, [row["key"] for row in kept], old)
        else:
            _origins.forget(connection, [row["key"] for row in rows])
        moved += len(rows)


def rebased(content: Resource, old: str, surviving: str, days: int) -> Resource:
    """Return a resource of another subject, its full dates moved; a month or a year stays, as when it came."""
    made = _rebased(content, "", old, surviving, days)
    if made.get("resourceType") == "Patient":
        made["id"] = surviving
    return dict(made)


def _rebased(value: Any, element: str, old: str, surviving: str, days: int) -> Any:
    if isinstance(value, dict):
        return {name: _rebased(item, name, old, surviving, days) for name, item in value.items()}
    if isinstance(value, list):
        return [_rebased(item, element, old, surviving, days) for item in value]
    if not isinstance(value, str):
        return value
    if value == f"Patient/{old}":
        return f"Patient/{surviving}"
    if element in DATE_ELEMENTS or element.endswith("DateTime"):
        return _moved(value, days)
    return value


def _moved(text: str, days: int) -> str:
    try:
        return (date.fromisoformat(text[:10]) + timedelta(days=days)).isoformat() + text[10:]
    except (ValueError, OverflowError):
        return text


def _medicine(connection: sa.Connection, content: Resource) -> Resource | None:
    found = content.get("medicationReference")
    key = str(found.get("reference", "")).rpartition("/")[2] if isinstance(found, dict) else ""
    return _store.load_contents(connection, [key]).get(key) if key else None
