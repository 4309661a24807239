"""What a state table is, and the one function that walks it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from racoon.domain.identity import Role
from racoon.errors import Refused

Guard = Callable[[Mapping[str, Any]], str | None]
"""Looks at the facts of the case; returns ``None`` or the public reason why the step is not possible yet."""


class TransitionRefused(Refused):
    """The step is not in the table, not this person's, or something it needs is missing."""

    code: ClassVar[str] = "governance.transition_refused"
    status: ClassVar[int] = 409


@dataclass(frozen=True)
class Transition:
    """One row of a state table.

    Parameters
    ----------
    source, target
        States.
    roles
        Any of these roles may take the step.
    artefacts
        Keys that must be present and not empty in the submitted artefacts.
    four_eyes
        Whether the person must differ from the one who took the previous step.
    guard
        Further condition on the facts of the case.
    optional
        Artefacts that may be handed in as well; a page offers a field for each.
    by_timer
        Whether the clock takes the step too, when something it rests on has ended.
    """

    source: str
    target: str
    roles: frozenset[Role]
    artefacts: tuple[str, ...] = ()
    four_eyes: bool = False
    guard: Guard | None = None
    optional: tuple[str, ...] = ()
    by_timer: bool = False


@dataclass(frozen=True)
class StateTable:
    """A named state machine as data."""

    name: str
    initial: str
    states: tuple[str, ...]
    transitions: tuple[Transition, ...]

    def targets(self, state: str) -> tuple[str, ...]:
        """States that can follow, in table order."""
        return tuple(row.target for row in self.transitions if row.source == state)

    def find(self, source: str, target: str) -> Transition | None:
        """Return the row from source to target, if there is one."""
        return next((row for row in self.transitions if (row.source, row.target) == (source, target)), None)

    def check(
        self,
        source: str,
        target: str,
        *,
        actor: str,
        roles: Collection[Role],
        artefacts: Mapping[str, Any],
        facts: Mapping[str, Any] | None = None,
        previous_actor: str | None = None,
    ) -> Transition:
        """Return the row when every condition of the step holds.

        Parameters
        ----------
        source, target
            Present and wanted state.
        actor, roles
            Who takes the step, and the roles held.
        artefacts
            Documents and data handed in with the step.
        facts
            What guards look at.
        previous_actor
            Who took the step before; matters for four-eyes steps.

        Raises
        ------
        TransitionRefused
            With a public message that says what is missing.
        """
        row = self._row(source, target)
        if not row.roles & set(roles):
            wanted = ", ".join(sorted(row.roles))
            raise TransitionRefused(f"{self.name}: the step to {target} belongs to: {wanted}.")
        missing = [key for key in row.artefacts if not artefacts.get(key)]
        if missing:
            raise TransitionRefused(f"{self.name}: the step to {target} needs: {', '.join(missing)}.")
        if row.four_eyes and previous_actor is not None and previous_actor == actor:
            raise TransitionRefused(f"{self.name}: the step to {target} needs a second person.")
        if row.guard is not None and (reason := row.guard(facts or {})) is not None:
            raise TransitionRefused(f"{self.name}: {reason}")
        return row

    def check_timer(self, source: str, target: str) -> Transition:
        """Return the row when the clock may take the step.

        Raises
        ------
        TransitionRefused
            When the step is not in the table, or belongs to people alone.
        """
        row = self._row(source, target)
        if not row.by_timer:
            raise TransitionRefused(f"{self.name}: the step to {target} belongs to people, not to the clock.")
        return row

    def _row(self, source: str, target: str) -> Transition:
        row = self.find(source, target)
        if row is None:
            allowed = ", ".join(self.targets(source)) or "none"
            raise TransitionRefused(
                f"{self.name}: no step from {source} to {target}; possible next steps: {allowed}."
            )
        return row


def rows(
    source: str | Iterable[str],
    target: str,
    roles: Iterable[Role],
    *,
    artefacts: tuple[str, ...] = (),
    four_eyes: bool = False,
    guard: Guard | None = None,
    optional: tuple[str, ...] = (),
    by_timer: bool = False,
) -> tuple[Transition, ...]:
    """Build the rows of one step that may start from several states."""
    sources = (source,) if isinstance(source, str) else tuple(source)
    return tuple(
        Transition(state, target, frozenset(roles), artefacts, four_eyes, guard, optional, by_timer)
        for state in sources
        if state != target
    )
