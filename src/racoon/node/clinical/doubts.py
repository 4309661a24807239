"""Doubtful identities: found by comparing descriptions, decided by a person, undone by a person; never merged silently.

Three kinds.  Two numbers of the hospital with near descriptions may be one person: a match merges them, as the
hospital's own message would.  A record without the number may be somebody who is known: a match files it there.  One
number with descriptions that are far apart may be two people: until somebody looked, no study uses it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal

import sqlalchemy as sa

from racoon.domain.identity import PatientId, Pseudonym
from racoon.errors import Refused
from racoon.node.clinical._doubt_tables import doubt
from racoon.node.pseudonyms.cards import Card, Cards
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.science.linkage.nearness import FAR, NEAR, compare

Kind = Literal["two_numbers", "no_number", "one_number"]
State = Literal["open", "later", "match", "no_match"]

KINDS: Mapping[str, str] = {
    "two_numbers": "Two numbers of the hospital may be one person.",
    "no_number": "A record without the hospital's number may be a person who is known here.",
    "one_number": "Two sources tell of different people under one number.",
}

REASONS: Mapping[str, str] = {
    "system": "I looked both up in the hospital's system.",
    "document": "I saw a document, such as the insurance card.",
    "asked": "I asked the ward or the patient administration.",
    "unclear": "It cannot be told yet.",
}
"""Why somebody decided so: chosen and not written, so that no name gets into the node's tables."""

PARTS: Mapping[str, str] = {
    "family": "Family name",
    "given": "Given names",
    "born": "Date of birth",
    "sex": "Sex",
    "postcode": "Postcode",
}

OPEN_STATES = ("open", "later")
AT_ONCE = 200


class NoSuchDoubt(Refused):
    """This pair is not on the list, or it was decided meanwhile."""

    code: ClassVar[str] = "clinical.no_doubt"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Doubt:
    """One pair on the list; names are not here."""

    id: int
    kind: Kind
    left_token: str
    right_token: str
    pseudonym: str
    likeness: float
    differing: tuple[str, ...]
    state: State
    reason: str
    standing: str
    found_at: datetime
    decided_by: str
    decided_at: datetime | None


def judge(left: Card, right: Card) -> tuple[Kind, float, tuple[str, ...]] | None:
    """Say whether two descriptions are doubtful, of what kind, how near, and in what they differ; None where not."""
    near = compare(left.person, right.person)
    if left.number and left.number == right.number:
        says_enough = {"family", "born"} <= set(near.compared) or {"family", "given"} <= set(near.compared)
        return ("one_number", near.likeness, near.differing) if says_enough and near.likeness < FAR else None
    if near.likeness < NEAR or not {"family", "born"} <= set(near.compared):
        return None
    if not left.number and not right.number:
        return None
    kind: Kind = "two_numbers" if left.number and right.number else "no_number"
    return kind, near.likeness, near.differing


def look(
    connection: sa.Connection,
    cards: Cards,
    pseudonym_of: Callable[[PatientId], Pseudonym],
    are_one: Callable[[str, str], bool],
    tokens: Collection[str],
) -> int:
    """Compare descriptions with their neighbours, and list what is doubtful; returns how many pairs are new.

    Parameters
    ----------
    connection
        Open write transaction of the node.
    cards
        The sealed descriptions.
    pseudonym_of
        Gives the pseudonym of a number, where the case of one number has to stop.
    are_one
        Tells whether two numbers are one patient already.
    tokens
        Of the descriptions that are new.
    """
    found = 0
    changed = cards.open(tokens)
    for token in changed:
        connection.execute(
            # What somebody said was about other words.
            sa.delete(doubt).where(
                sa.or_(doubt.c.left_token == token, doubt.c.right_token == token),
                # A match of two numbers merged them, one of a record filed it: both stay until somebody undoes them.
                sa.or_(doubt.c.state != "match", doubt.c.kind == "one_number"),
            )
        )
    for token, card in changed.items():
        for other_token, other in cards.neighbours(token).items():
            judged = judge(card, other)
            if judged is None or (judged[0] == "two_numbers" and are_one(card.number, other.number)):
                continue
            kind, likeness, differing = judged
            left, right = sorted((token, other_token))
            known = connection.execute(
                sa.select(doubt.c.id).where(doubt.c.left_token == left, doubt.c.right_token == right)
            ).one_or_none()
            if known is not None:
                continue
            stops = kind == "one_number"
            connection.execute(
                sa.insert(doubt).values(
                    kind=kind,
                    left_token=left,
                    right_token=right,
                    pseudonym=str(pseudonym_of(PatientId(card.number))) if stops else "",
                    likeness=likeness,
                    differing=list(differing),
                    state="open",
                    reason="",
                    standing="",
                    found_at=clock.now(),
                    decided_by="",
                    decided_at=None,
                )
            )
            found += 1
    return found


def load_doubts(connection: sa.Connection, states: Collection[str] = OPEN_STATES) -> list[Doubt]:
    """List pairs, those that nobody looked at first, then the nearest."""
    order = sa.case((doubt.c.state == "open", 0), else_=1)
    query = sa.select(doubt).where(doubt.c.state.in_(sorted(states)))
    rows = connection.execute(query.order_by(order, doubt.c.likeness.desc(), doubt.c.id).limit(AT_ONCE))
    return [_doubt(row) for row in rows]


def load_doubt(connection: sa.Connection, number: int) -> Doubt:
    """Load one pair.

    Raises
    ------
    NoSuchDoubt
    """
    row = connection.execute(sa.select(doubt).where(doubt.c.id == number)).one_or_none()
    if row is None:
        raise NoSuchDoubt("This pair is not on the list any more. Look at the list again.")
    return _doubt(row)


def record(
    connection: sa.Connection,
    audit: AuditLog,
    item: Doubt,
    state: State,
    *,
    reason: str,
    standing: str,
    actor: str,
    actor_role: str,
) -> None:
    """Record what somebody decided of a pair, or that it is undone (``open``); audited.

    Parameters
    ----------
    item
        As it was shown: what was decided meanwhile is not decided again.
    standing
        ``left`` or ``right``: the number that stands, of a match of two numbers.

    Raises
    ------
    NoSuchDoubt
    """
    changed = connection.execute(
        sa.update(doubt)
        .where(doubt.c.id == item.id, doubt.c.state == item.state)
        .values(
            state=state,
            reason=reason,
            standing=standing,
            decided_by=actor[:80] if state != "open" else "",
            decided_at=clock.now() if state != "open" else None,
        )
    ).rowcount
    if changed != 1:
        raise NoSuchDoubt("Somebody else decided this pair meanwhile. Look at the list again.")
    audit.append(
        connection,
        actor=actor,
        actor_role=actor_role,
        action="clinical.doubt.decide" if state != "open" else "clinical.doubt.undo",
        target=f"doubt/{item.id}",
        details={"kind": item.kind, "before": item.state, "state": state, "reason": reason},
    )


def stopped_by_doubt(connection: sa.Connection, subjects: Collection[str]) -> set[Pseudonym]:
    """Return the subjects whose number may be two people, and of whom nobody said that they are one."""
    wanted, found = sorted(set(subjects)), set()
    for start in range(0, len(wanted), AT_ONCE):
        query = sa.select(doubt.c.pseudonym).where(
            doubt.c.kind == "one_number",
            doubt.c.state != "match",
            doubt.c.pseudonym.in_(wanted[start : start + AT_ONCE]),
        )
        found |= {Pseudonym(name) for name in connection.execute(query).scalars()}
    return found


def decisions_about(connection: sa.Connection, token: str) -> dict[str, State]:
    """Return what was decided of a description, by the token of the other one."""
    query = sa.select(doubt).where(sa.or_(doubt.c.left_token == token, doubt.c.right_token == token))
    return {
        (row.right_token if row.left_token == token else row.left_token): row.state
        for row in connection.execute(query)
    }


def _doubt(row: sa.Row[Any]) -> Doubt:
    return Doubt(**{**row._mapping, "differing": tuple(row.differing)})
