"""Takes out what the clinic deleted, and keeps which resource it was, of whom, why and when.

A deletion takes the resource that it names and nothing else: a server that deletes a patient tells every resource of
his.  One that is not here takes nothing.  What was computed from it before stays as it was released.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.clinical import _store
from racoon.node.clinical._removal_tables import removal
from racoon.node.clinical.preparing import Deletion
from racoon.platform import clock
from racoon.standards.fhir.building import Resource, coding, concept, fhir_instant, reference

REASONS: Mapping[str, str] = {
    "deleted": "The clinic deleted the resource.",
    "entered_in_error": "The clinic says that the resource was written by mistake.",
    "tagged": "The resource carries the tag by which the clinic marks what it deleted.",
}
"""Why something was taken out."""

AT_ONCE = 500

Listener = Callable[[sa.Connection, Collection[str], Mapping[str, Sequence[Mapping[str, Any]]]], None]


def remove(
    connection: sa.Connection, deletions: Sequence[Deletion], on_stored: Sequence[Listener]
) -> set[str]:
    """Take resources out with their rows.

    Parameters
    ----------
    connection
        Open write transaction.
    deletions
        What their source deleted.
    on_stored
        Listeners that keep tables of their own.

    Returns
    -------
    set of str
        Keys of those that were here.
    """
    table, moment = _store.resource, clock.now()
    wanted = {item.key: item for item in deletions}
    keys, gone = sorted(wanted), set[str]()
    for start in range(0, len(keys), AT_ONCE):
        query = sa.select(table.c.key, table.c.kind, table.c.pseudonym).where(
            table.c.key.in_(keys[start : start + AT_ONCE])
        )
        rows = [dict(row._mapping) for row in connection.execute(query)]
        if not rows:
            continue
        found = [row["key"] for row in rows]
        _store.delete_rows(connection, {row["key"]: row["kind"] for row in rows})
        connection.execute(sa.delete(table).where(table.c.key.in_(found)))
        for row in rows:
            row |= {"reason": wanted[row["key"]].reason, "removed_at": moment}
        connection.execute(sa.insert(removal), rows)
        gone |= set(found)
        for listener in on_stored:
            listener(connection, found, {})
    return gone


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Forget what was taken out of a subject who is erased; Consents stay, as they say why."""
    statement = sa.delete(removal).where(removal.c.pseudonym == pseudonym, removal.c.kind != "Consent")
    return connection.execute(statement).rowcount


def removed_consents(connection: sa.Connection) -> list[str]:
    """Return the keys of Consents that were taken out and did not come back."""
    present = sa.select(_store.resource.c.key)
    query = sa.select(removal.c.key).where(removal.c.kind == "Consent", removal.c.key.not_in(present))
    return sorted(set(connection.execute(query).scalars()))


def load_removals(connection: sa.Connection, limit: int = 1000) -> list[dict[str, Any]]:
    """Return what was taken out, newest first."""
    query = sa.select(removal).order_by(removal.c.id.desc()).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def provenance(row: Mapping[str, Any]) -> Resource:
    """Write a removal as a FHIR Provenance: what went from here, when and why."""
    return {
        "resourceType": "Provenance",
        "id": f"removal-{row['id']}",
        "target": [reference(str(row["kind"]), str(row["key"]))],
        "recorded": fhir_instant(row["removed_at"]),
        "activity": concept(
            coding("http://terminology.hl7.org/CodeSystem/v3-DataOperation", "DELETE", "delete")
        ),
        "reason": [{"text": REASONS[row["reason"]]}],
        "agent": [{"who": {"display": "RACOON node"}}],
    }
