"""Orders that name no study UID, linked to their images by the accession number alone.

The number is a token on both sides.  It links when everything agrees: one person ordered, one imaging study came under
it, both are the same subject, and the days fit.  Anything else waits on the reviewed list, and where two people may be
mixed up no study uses the images meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, ClassVar, Literal

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.errors import Refused
from racoon.node.archive.records import days_of_studies, subjects_of_studies
from racoon.node.clinical import _order_store, _store
from racoon.node.clinical._merge_store import joined
from racoon.node.pseudonyms.service import Pseudonymiser
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Database

NOT_CARRIED_OUT = frozenset({"revoked", "entered-in-error", "draft"})
"""States of an order that has no images."""

EARLIEST = timedelta(days=-1)
LATEST = timedelta(days=400)
"""Of the images after the order: appointments are made for a year ahead, and emergencies are ordered afterwards."""

REASONS: Mapping[str, str] = {
    "several_people": "Several people have an order with this accession number.",
    "other_person": "The images with this accession number are another subject's.",
    "several_studies": "Several imaging studies came with this accession number.",
    "days": "The images were taken before the order, or long after it.",
}
"""Why an order waits for a person."""

TWO_PEOPLE = frozenset({"several_people", "other_person"})
"""Reasons that stop the case until somebody decided."""

LONGEST_LIST = 200


class NoSuchOrder(Refused):
    """The order is not on the list any more."""

    code: ClassVar[str] = "clinical.no_such_order"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Candidate:
    """An order and an imaging study of the same accession number.

    Parameters
    ----------
    is_same_person
        Whether order and images are one subject's, merged numbers counted as one.
    people, studies
        How many people ordered under the number, how many imaging studies came under it.
    ordered, taken
        Moved days; None where unknown.
    """

    is_same_person: bool
    people: int
    studies: int
    ordered: date | None = None
    taken: date | None = None


def judge(item: Candidate) -> str:
    """Return why a pair is in doubt; empty where it is linked."""
    if item.people > 1:
        return "several_people"
    if not item.is_same_person:
        return "other_person"
    if item.studies > 1:
        return "several_studies"
    days = item.taken - item.ordered if item.taken is not None and item.ordered is not None else None
    return "" if days is None or EARLIEST <= days <= LATEST else "days"


class OrderLinker:
    """Links orders of one node; made by the process that knows who is who.

    Parameters
    ----------
    database
        The node's own.
    names
        The door to who is who: it keeps under which number an imaging study came.
    """

    def __init__(self, database: Database, names: Pseudonymiser) -> None:
        self._database, self._names = database, names
        self._seen = -1

    def link(self) -> dict[str, int]:
        """Link what can be linked; returns how many are linked and in doubt."""
        count = self._names.count_accessions()
        with self._database.begin() as connection:
            if count != self._seen:
                known = _order_store.known_accessions(connection)
                _order_store.keep_accessions(connection, self._names.new_accessions(known))
            found = link_orders(connection)
        self._seen = count
        return found


def link_orders(connection: sa.Connection) -> dict[str, int]:
    """Say of every order without a study UID which images are its own, by the accession numbers that are known."""
    pairs = _order_store.load_pairs(connection, NOT_CARRIED_OUT)
    uids = {row.imaging_study_uid for row in pairs}
    owners, days = subjects_of_studies(connection, uids), days_of_studies(connection, uids)
    pairs = [row for row in pairs if row.imaging_study_uid in owners]
    people: dict[str, set[str]] = {}
    studies: dict[str, set[str]] = {}
    first: dict[str, str] = {}
    for row in pairs:
        # Numbers that were merged are one person, whichever of them stands.
        if row.pseudonym not in first:
            first[row.pseudonym] = min({row.pseudonym, *joined(connection, Pseudonym(row.pseudonym))})
        people.setdefault(row.token, set()).add(first[row.pseudonym])
        studies.setdefault(row.token, set()).add(row.imaging_study_uid)
    made = []
    for row in pairs:
        owner = owners[row.imaging_study_uid]
        is_same = owner == row.pseudonym or owner in joined(connection, Pseudonym(row.pseudonym))
        item = Candidate(
            is_same,
            len(people[row.token]),
            len(studies[row.token]),
            _day(row.authored),
            _day(days.get(row.imaging_study_uid, "")),
        )
        reason = judge(item)
        made.append(
            {
                "order_key": row.key,
                "imaging_study_uid": row.imaging_study_uid,
                "state": "doubt" if reason else "linked",
                "reason": reason,
            }
        )
    _order_store.replace_undecided(connection, made)
    counts = Counter(row["state"] for row in made)
    return {"linked": counts["linked"], "doubt": counts["doubt"]}


def forget_studies(connection: sa.Connection, study_uids: Collection[str]) -> None:
    """Forget under which accession tokens some imaging studies came, and which orders were linked to them."""
    _order_store.forget_studies(connection, study_uids)


def waiting_orders(connection: sa.Connection) -> list[dict[str, Any]]:
    """List the orders that wait for a person, with whose the images are."""
    rows = _order_store.load_links(connection, "doubt")[:LONGEST_LIST]
    uids = {row.imaging_study_uid for row in rows}
    owners, days = subjects_of_studies(connection, uids), days_of_studies(connection, uids)
    return [
        {
            "order_key": row.order_key,
            "imaging_study_uid": row.imaging_study_uid,
            "reason": row.reason,
            "subject": Pseudonym(row.pseudonym),
            "owner": owners[row.imaging_study_uid],
            "ordered": row.authored[:10],
            "taken": _iso(days.get(row.imaging_study_uid, "")),
        }
        for row in rows
        if row.imaging_study_uid in owners
    ]


def stopped_by_orders(connection: sa.Connection, subjects: Collection[Pseudonym]) -> set[Pseudonym]:
    """Return the subjects whose images may have been ordered for somebody else, while nobody decided."""
    rows = [row for row in _order_store.load_links(connection, "doubt") if row.reason in TWO_PEOPLE]
    owners = subjects_of_studies(connection, {row.imaging_study_uid for row in rows})
    return set(owners.values()) & set(subjects)


def linked_orders(connection: sa.Connection) -> list[tuple[Pseudonym, str, str]]:
    """Return subject and key of the orders that the accession number linked, with the study."""
    rows = _order_store.load_links(connection, "linked")
    return [(Pseudonym(row.pseudonym), row.order_key, row.imaging_study_uid) for row in rows]


def decide_order(
    connection: sa.Connection,
    audit: AuditLog,
    order_key: str,
    imaging_study_uid: str,
    *,
    state: Literal["linked", "refused"],
    actor: str,
    actor_role: str,
) -> None:
    """Record that somebody looked: the images are the order's, or not; audited.

    Raises
    ------
    NoSuchOrder
        If the pair does not wait.
    """
    table = _order_store.link
    done = connection.execute(
        sa.update(table)
        .where(
            table.c.order_key == order_key,
            table.c.imaging_study_uid == imaging_study_uid,
            table.c.state == "doubt",
        )
        .values(state=state, decided_by=actor[:80], decided_at=clock.now())
    )
    if done.rowcount != 1:
        raise NoSuchOrder("Somebody decided this order before, or it changed. Look at the list again.")
    audit.append(
        connection,
        actor=actor,
        actor_role=actor_role,
        action="clinical.order.decide",
        target=f"order/{order_key}",
        details={"state": state, "imaging_study_uid": imaging_study_uid},
    )


def quality(connection: sa.Connection, subjects: Collection[Pseudonym]) -> dict[str, int]:
    """Count the orders of some subjects by how they are linked."""
    wanted, found = set(subjects), Counter[str]()
    found["by_study_uid"] = sum(row.pseudonym in wanted for row in _store.load_orders(connection))
    for name, state in (("by_accession", "linked"), ("in_doubt", "doubt")):
        keys = {
            row.order_key for row in _order_store.load_links(connection, state) if row.pseudonym in wanted
        }
        found[name] = len(keys)
    return dict(found)


def _iso(day: str) -> str:
    found = _day(day)
    return "" if found is None else found.isoformat()


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text[:10])
    except ValueError:
        return None
