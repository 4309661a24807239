"""The reviewer queue: what no rule lets out by itself waits here until named people have looked, and said why.

Somebody other than who asked has to look; where two are demanded, two others.  A no ends it, and is told in words to
whoever asked.  What a yes sets free is registered by kind: nothing leaves from here itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa

from racoon.errors import Refused
from racoon.platform import clock
from racoon.platform.audit import AuditLog
from racoon.platform.database import Json, UtcDateTime, metadata

SHORTEST_REASON = 3

_TABLE = sa.Table(
    "release_review",
    metadata("node"),
    sa.Column("review_id", sa.String(32), primary_key=True),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("study_id", sa.String(80), nullable=False, index=True),
    sa.Column("target", sa.String(120), nullable=False, unique=True),
    sa.Column("facts", Json, nullable=False),
    sa.Column("held", Json, nullable=False),
    sa.Column("asked_by", sa.String(80), nullable=False),
    sa.Column("asked_at", UtcDateTime, nullable=False, index=True),
    sa.Column("needed", sa.Integer, nullable=False),
    sa.Column("decisions", Json, nullable=False),
    sa.Column("said", sa.Integer, nullable=False),
    sa.Column("state", sa.String(12), nullable=False),
)


class ReviewState(StrEnum):
    """Where a review stands."""

    WAITING = "waiting"
    ACCEPTED = "accepted"
    REFUSED = "refused"


class ReviewRefused(Refused):
    """This person may not decide this, or not again."""

    code: ClassVar[str] = "review.refused"


class NoSuchReview(Refused):
    """No review of this id."""

    code: ClassVar[str] = "review.unknown"
    status: ClassVar[int] = 404


@dataclass(frozen=True)
class Review:
    """One thing that waits for people, or did.

    Parameters
    ----------
    kind
        ``export`` or ``result``.
    target
        What it is about, as the audit names it.
    facts
        What a reviewer has to know; shown as it is.
    held
        What leaves after a yes; for the gate alone.
    needed
        How many people have to say yes, beside who asked.
    decisions
        Who said what, when and why, oldest first.
    """

    review_id: str
    kind: str
    study_id: str
    target: str
    facts: Mapping[str, Any]
    held: Mapping[str, Any]
    asked_by: str
    asked_at: datetime
    needed: int
    decisions: tuple[Mapping[str, Any], ...]
    state: ReviewState

    @property
    def last_reason(self) -> str:
        """Why the last reviewer said yes or no."""
        return str(self.decisions[-1]["reason"]) if self.decisions else ""

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form without what is held."""
        return {
            "review_id": self.review_id,
            "kind": self.kind,
            "study_id": self.study_id,
            "target": self.target,
            "facts": dict(self.facts),
            "asked_by": self.asked_by,
            "asked_at": self.asked_at.isoformat(),
            "needed": self.needed,
            "decisions": [dict(item) for item in self.decisions],
            "state": self.state.value,
        }


Outcome = Callable[[sa.Connection, Review], None]
"""What follows a decision, in its transaction."""

IsSamePerson = Callable[[sa.Connection, str, str], bool]
"""Whether two accounts are one person."""


class Reviews:
    """The queue of one node.

    Parameters
    ----------
    audit
        The node's audit log.
    reviewers
        Accounts that look; empty: everybody whose roles may.
    two_for
        Kinds that two people have to accept, beside who asked.
    is_same_person
        Whether two accounts are one person: one counts once.
    """

    def __init__(
        self,
        audit: AuditLog,
        *,
        reviewers: tuple[str, ...] = (),
        two_for: tuple[str, ...] = (),
        is_same_person: IsSamePerson = lambda _connection, one, other: one == other,
    ) -> None:
        self._audit = audit
        self._reviewers = reviewers
        self._two_for = two_for
        self._is_same_person = is_same_person
        self._accepted: dict[str, Outcome] = {}
        self._refused: dict[str, Outcome] = {}

    def on(self, kind: str, *, accepted: Outcome, refused: Outcome) -> None:
        """Say what follows a decision on a kind."""
        self._accepted[kind], self._refused[kind] = accepted, refused

    def ask(
        self,
        connection: sa.Connection,
        kind: str,
        study_id: str,
        target: str,
        facts: Mapping[str, Any],
        *,
        asked_by: str,
        held: Mapping[str, Any] | None = None,
    ) -> Review:
        """Put something into the queue."""
        values: dict[str, Any] = {
            "review_id": secrets.token_hex(8),
            "kind": kind,
            "study_id": study_id,
            "target": target,
            "facts": dict(facts),
            "held": dict(held or {}),
            "asked_by": asked_by[:80],
            "asked_at": clock.now(),
            "needed": 2 if kind in self._two_for else 1,
            "decisions": [],
            "said": 0,
            "state": ReviewState.WAITING.value,
        }
        connection.execute(_TABLE.insert().values(**values))
        self._write(connection, values["asked_by"], "review", "review.ask", target, study_id, {"kind": kind})
        return self.get(connection, values["review_id"])

    def get(self, connection: sa.Connection, review_id: str) -> Review:
        """Return one review.

        Raises
        ------
        NoSuchReview
        """
        query = sa.select(_TABLE).where(_TABLE.c.review_id == review_id)
        row = connection.execute(query).one_or_none()
        if row is None:
            raise NoSuchReview("There is no such review.")
        return _review_of(row)

    def of_target(self, connection: sa.Connection, target: str) -> Review | None:
        """Return the review of something, or None."""
        row = connection.execute(sa.select(_TABLE).where(_TABLE.c.target == target)).one_or_none()
        return _review_of(row) if row is not None else None

    def newest(self, connection: sa.Connection, limit: int = 100) -> list[Review]:
        """List reviews, those that wait first, then the newest."""
        is_done = sa.case((_TABLE.c.state == ReviewState.WAITING.value, 0), else_=1)
        query = sa.select(_TABLE).order_by(is_done, _TABLE.c.asked_at.desc()).limit(limit)
        return [_review_of(row) for row in connection.execute(query)]

    def waiting(self, connection: sa.Connection) -> int:
        """Count what waits for people."""
        query = sa.select(sa.func.count()).where(_TABLE.c.state == ReviewState.WAITING.value)
        return int(connection.execute(query).scalar_one())

    def obstacle(self, connection: sa.Connection, review: Review, actor: str) -> str:
        """Say why a person may not decide a review; empty when they may."""
        if review.state is not ReviewState.WAITING:
            return "This was decided already."
        if self._reviewers and actor not in self._reviewers:
            return "The site has named other people as reviewers."
        if self._is_same_person(connection, review.asked_by, actor):
            return "Who asked for a release does not review it; another person has to look."
        if any(self._is_same_person(connection, str(item["by"]), actor) for item in review.decisions):
            return "You have looked already; another person has to."
        return ""

    def decide(
        self,
        connection: sa.Connection,
        review_id: str,
        *,
        is_accepted: bool,
        reason: str,
        actor: str,
        actor_role: str,
    ) -> Review:
        """Say yes or no, with a reason; what follows happens in the same transaction.

        Raises
        ------
        NoSuchReview, ReviewRefused
        """
        review, reason = self.get(connection, review_id), " ".join(reason.split())[:500]
        problem = self.obstacle(connection, review, actor)
        if problem:
            raise ReviewRefused(problem)
        if len(reason) < SHORTEST_REASON:
            raise ReviewRefused("A review needs a reason in plain words; it is told to whoever asked.")
        said = {
            "by": actor,
            "role": actor_role,
            "at": clock.now().isoformat(),
            "is_accepted": is_accepted,
            "reason": reason,
        }
        decisions = [*(dict(item) for item in review.decisions), said]
        state = ReviewState.WAITING if is_accepted else ReviewState.REFUSED
        if sum(bool(item["is_accepted"]) for item in decisions) >= review.needed:
            state = ReviewState.ACCEPTED
        changed = connection.execute(
            _TABLE.update()
            .where(
                _TABLE.c.review_id == review_id,
                _TABLE.c.state == ReviewState.WAITING.value,
                # Two reviewers at the same moment: the slower one looks again.
                _TABLE.c.said == len(review.decisions),
            )
            .values(decisions=decisions, said=len(decisions), state=state.value)
        )
        if changed.rowcount == 0:
            raise ReviewRefused("Somebody else decided meanwhile; look again.")
        self._write(
            connection,
            actor,
            actor_role,
            "review.decide",
            review.target,
            review.study_id,
            {"review": review_id, "is_accepted": is_accepted, "reason": reason, "state": state.value},
        )
        decided = self.get(connection, review_id)
        if state is ReviewState.ACCEPTED:
            self._accepted[review.kind](connection, decided)
        elif state is ReviewState.REFUSED:
            self._refused[review.kind](connection, decided)
        return decided

    def _write(
        self,
        connection: sa.Connection,
        actor: str,
        role: str,
        action: str,
        target: str,
        study_id: str,
        details: Mapping[str, Any],
    ) -> None:
        self._audit.append(
            connection,
            actor=actor,
            actor_role=role,
            action=action,
            target=target,
            purpose=study_id,
            details=details,
        )


def _review_of(row: sa.Row[Any]) -> Review:
    fields = {name: value for name, value in row._mapping.items() if name != "said"}
    return Review(
        **{**fields, "decisions": tuple(fields["decisions"]), "state": ReviewState(fields["state"])}
    )
