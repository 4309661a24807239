"""All studies on one line of time, and where each site stands in each of them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from racoon.central.studies.matrix import MatrixRow
from racoon.central.studies.model import Study
from racoon.domain.governance.study import STUDY_TABLE

FINAL_STATES = frozenset(state for state in STUDY_TABLE.states if not STUDY_TABLE.targets(state))
"""States that nothing follows: time no longer counts."""


@dataclass(frozen=True)
class Span:
    """A time a study spent in one state.

    Parameters
    ----------
    state
        State of ``domain.governance.study``.
    start, end
        Aware times; of the present state, ``end`` is now, of a final one its start.
    """

    state: str
    start: datetime
    end: datetime

    @property
    def days(self) -> float:
        """How long, in days."""
        return (self.end - self.start).total_seconds() / 86_400


@dataclass(frozen=True)
class Timeline:
    """One study on the line of time.

    Parameters
    ----------
    study
        The study.
    spans
        Its states, oldest first.
    planned_start, planned_end
        What the application plans; ``None`` where it says nothing or nothing that is a date.
    deadline
        Last day for votes while sites vote.
    """

    study: Study
    spans: tuple[Span, ...]
    planned_start: date | None = None
    planned_end: date | None = None
    deadline: date | None = None


def timeline(
    study: Study, history: Sequence[Mapping[str, Any]], now: datetime, deadline: date | None = None
) -> Timeline:
    """Lay a study's states along time.

    Parameters
    ----------
    study
        The study.
    history
        Its steps, oldest first: ``target`` and ``happened_at``.
    now
        Aware time: the end of the present state.
    deadline
        Last day for votes, shown while sites vote.
    """
    entered = [(STUDY_TABLE.initial, study.created_at)]
    entered += [(str(event["target"]), event["happened_at"]) for event in history]
    ends = [moment for _, moment in entered[1:]]
    ends.append(entered[-1][1] if entered[-1][0] in FINAL_STATES else now)
    spans = tuple(
        Span(state, start, end)
        for (state, start), end in zip(entered, ends, strict=True)
        if end > start or (state, start) == entered[-1]
    )
    plan = study.definition.application
    return Timeline(
        study,
        spans,
        _day(plan.get("start")),
        _day(plan.get("end")),
        deadline if study.state == "site_voting" else None,
    )


def _day(value: Any) -> date | None:
    try:
        return date.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


@dataclass(frozen=True)
class PortfolioMatrix:
    """Where each site stands in each study that is under way.

    Parameters
    ----------
    studies
        Columns.
    rows
        Site → study id → the site's row of that study's matrix.
    """

    studies: tuple[Study, ...]
    rows: Mapping[str, Mapping[str, MatrixRow]]


def portfolio_matrix(matrices: Iterable[tuple[Study, Sequence[MatrixRow]]]) -> PortfolioMatrix:
    """Put the matrices of the studies under way beside each other; studies that ended or asked nobody stay out."""
    columns: list[Study] = []
    rows: dict[str, dict[str, MatrixRow]] = {}
    for study, sites in matrices:
        if study.state in FINAL_STATES or not sites:
            continue
        columns.append(study)
        for row in sites:
            rows.setdefault(row.site, {})[study.study_id] = row
    return PortfolioMatrix(tuple(columns), dict(sorted(rows.items())))


def overdue_sites(matrix: Sequence[MatrixRow]) -> list[str]:
    """Name the sites whose own decision is overdue."""
    return [row.site for row in matrix if row.is_overdue]
