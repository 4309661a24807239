"""How this node and the hospital's services get on: what was tried, when it last worked, what a person does next."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.errors import RacoonError
from racoon.node.clinical._source_tables import source
from racoon.platform import clock


@dataclass(frozen=True)
class SourceState:
    """One service as it was last found.

    Parameters
    ----------
    name
        ``consent``, ``pseudonyms``, ``identity`` or ``diz``.
    kind
        As the settings name it.
    problem
        Why the last try failed and what to do next, in words; empty after one that worked.
    facts
        Counts of the last try that worked.
    """

    name: str
    kind: str
    tried_at: datetime
    succeeded_at: datetime | None
    problem_code: str
    problem: str
    facts: Mapping[str, Any] = field(default_factory=dict)

    def describe(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "name": self.name,
            "kind": self.kind,
            "tried_at": self.tried_at.isoformat(),
            "succeeded_at": self.succeeded_at.isoformat() if self.succeeded_at else None,
            "problem_code": self.problem_code,
            "problem": self.problem,
            "facts": dict(self.facts),
        }


def note_success(connection: sa.Connection, name: str, kind: str, facts: Mapping[str, Any]) -> None:
    """Write that a service answered."""
    now = clock.now()
    _write(
        connection, name, kind, tried_at=now, succeeded_at=now, problem_code="", problem="", facts=dict(facts)
    )


def note_problem(connection: sa.Connection, name: str, kind: str, error: RacoonError) -> None:
    """Write why a service did not answer; what it last said stays beside it."""
    known = load_source(connection, name)
    is_same = known is not None and known.kind == kind
    _write(
        connection,
        name,
        kind,
        tried_at=clock.now(),
        succeeded_at=known.succeeded_at if known is not None and is_same else None,
        problem_code=error.error_code[:80],
        problem=error.public_message[:500],
        facts=dict(known.facts) if known is not None and is_same else {},
    )


def load_source(connection: sa.Connection, name: str) -> SourceState | None:
    """Load one service's state."""
    row = connection.execute(sa.select(source).where(source.c.name == name)).one_or_none()
    return None if row is None else SourceState(**row._mapping)


def _write(connection: sa.Connection, name: str, kind: str, **values: Any) -> None:
    connection.execute(sa.delete(source).where(source.c.name == name))
    connection.execute(sa.insert(source).values(name=name, kind=kind, **values))
