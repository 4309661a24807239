"""Counts per interval, and what follows from them: curves and the log-rank test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.estimate import Estimate, Outcome, p_of_chi_square, z_of
from racoon.science.statistics.survival.grid import TimeGrid


@dataclass(frozen=True)
class SurvivalTable:
    """Site part of a group: how many had which event, or left, in each interval.

    Parameters
    ----------
    grid
        The published grid.
    events
        One tuple per cause: events per interval.
    censored
        Subjects censored per interval; they count as at risk to its end.
    """

    grid: TimeGrid
    events: tuple[tuple[int, ...], ...]
    censored: tuple[int, ...]

    def __post_init__(self) -> None:
        width = len(self.grid.edges)
        if len(self.censored) != width or any(len(row) != width for row in self.events) or not self.events:
            raise ValueError("a survival table has one count per interval and kind")
        if any(count < 0 for row in (*self.events, self.censored) for count in row):
            raise ValueError("counts can't be negative")

    @classmethod
    def of(cls, grid: TimeGrid, times: ArrayLike, events: ArrayLike, *, causes: int = 1) -> SurvivalTable:
        """Count rows.

        Parameters
        ----------
        grid
            The published grid.
        times, events
            Shape (rows,); 0 is censored, 1 … causes the kinds of event.
        causes
            Number of kinds.
        """
        places, kinds = grid.place(times, events)
        if kinds.max(initial=0) > causes:
            raise ValueError("an event has a cause that was not announced")
        rows = [
            tuple(int(count) for count in np.bincount(places[kinds == kind], minlength=len(grid.edges)))
            for kind in range(causes + 1)
        ]
        return cls(grid, tuple(rows[1:]), rows[0])

    def __add__(self, other: SurvivalTable) -> SurvivalTable:
        if self.grid != other.grid or len(self.events) != len(other.events):
            raise ValueError("tables over different grids can't be added")
        return SurvivalTable(
            self.grid,
            tuple(
                tuple(a + b for a, b in zip(mine, theirs, strict=True))
                for mine, theirs in zip(self.events, other.events, strict=True)
            ),
            tuple(a + b for a, b in zip(self.censored, other.censored, strict=True)),
        )

    @classmethod
    def merge(cls, parts: Iterable[SurvivalTable]) -> SurvivalTable:
        """Add any number of parts, in any order.

        Raises
        ------
        ValueError
            Without any part, or when grids differ.
        """
        merged: SurvivalTable | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    @property
    def n(self) -> int:
        """Subjects."""
        return sum(self.censored) + sum(sum(row) for row in self.events)

    @property
    def at_risk(self) -> NDArray[np.int64]:
        """Subjects at risk at the end of each interval, before its events; shape (intervals,)."""
        leaving = np.array(self.censored) + np.array(self.events).sum(axis=0)
        return np.asarray(self.n - np.concatenate([[0], np.cumsum(leaving)[:-1]]), dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "edges": list(self.grid.edges),
            "events": [list(row) for row in self.events],
            "censored": list(self.censored),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> SurvivalTable:
        """Read the JSON form."""
        return cls(
            TimeGrid(tuple(float(edge) for edge in document["edges"])),
            tuple(tuple(int(count) for count in row) for row in document["events"]),
            tuple(int(count) for count in document["censored"]),
        )


@dataclass(frozen=True)
class Curve:
    """A step curve over the grid.

    Parameters
    ----------
    times
        Ends of the intervals, shape (intervals,).
    value, low, high
        Estimate and limits at each time.
    at_risk
        Subjects at risk at each time.
    """

    times: NDArray[np.float64]
    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    at_risk: NDArray[np.int64]

    def median(self) -> float:
        """First time at which a survival curve is at or below one half; infinite when it never is."""
        below = np.flatnonzero(self.value <= 0.5)
        return float(self.times[below[0]]) if below.size else math.inf

    def at(self, time: float) -> Estimate:
        """Value at a time; the start's value before the first interval has ended."""
        place = int(np.searchsorted(self.times, time, side="right")) - 1
        if place < 0:
            start = 1.0 if self.value[0] > 0.5 else 0.0
            return Estimate(start, start, start, int(self.at_risk[0]))
        return Estimate(
            float(self.value[place]),
            float(self.low[place]),
            float(self.high[place]),
            int(self.at_risk[place]),
        )


def kaplan_meier(table: SurvivalTable, *, level: float = 0.95) -> Curve:
    """Estimate the share of subjects without any event.

    Notes
    -----
    Product limit with Greenwood's variance; limits on the scale log(-log S), so that they stay within 0 and 1.
    """
    at_risk = table.at_risk.astype(np.float64)
    events = np.array(table.events).sum(axis=0).astype(np.float64)
    share = np.divide(events, at_risk, out=np.zeros_like(events), where=at_risk > 0)
    survival = np.cumprod(1 - share)
    left = at_risk - events
    terms = np.divide(events, at_risk * left, out=np.zeros_like(events), where=left > 0)
    variance = np.cumsum(terms)
    low, high = _log_log_limits(survival, np.sqrt(variance), z_of(level))
    return Curve(np.array(table.grid.edges), survival, low, high, table.at_risk)


def _log_log_limits(
    survival: NDArray[np.float64], error: NDArray[np.float64], z: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    low, high = survival.copy(), survival.copy()
    inner = (survival > 0) & (survival < 1)
    log = np.log(survival[inner])
    reach = z * error[inner] / -log
    low[inner] = np.exp(log * np.exp(reach))
    high[inner] = np.exp(log * np.exp(-reach))
    return low, high


def cumulative_incidence(table: SurvivalTable, cause: int = 1, *, level: float = 0.95) -> Curve:
    """Estimate the share of subjects with one kind of event while others compete.

    Parameters
    ----------
    table
        Counts with one row per cause.
    cause
        1 is the first.
    level
        Confidence level; limits on the scale log(-log(1 - F)).

    Notes
    -----
    Aalen–Johansen with the variance of Marubini, Valsecchi 1995 (eq. 10.12), as used by most software.
    """
    at_risk = table.at_risk.astype(np.float64)
    safe = np.maximum(at_risk, 1)
    own = np.array(table.events[cause - 1], dtype=np.float64)
    all_events = np.array(table.events).sum(axis=0).astype(np.float64)
    before = np.concatenate([[1.0], np.cumprod(1 - all_events / safe)[:-1]])
    incidence = np.cumsum(before * own / safe)
    variance = np.zeros_like(incidence)
    left = at_risk - all_events
    spread = np.divide(all_events, at_risk * left, out=np.zeros_like(left), where=left > 0)
    for place, now in enumerate(incidence):
        past = slice(0, place + 1)
        gap = now - incidence[past]
        own_share = own[past] / safe[past]
        variance[place] = (
            (gap**2 * spread[past]).sum()
            + (before[past] ** 2 * own_share * (1 - own_share) / safe[past]).sum()
            - 2 * (gap * before[past] * own_share / safe[past]).sum()
        )
    rest = 1 - incidence
    error = np.divide(np.sqrt(np.maximum(variance, 0)), rest, out=np.zeros_like(rest), where=rest > 0)
    low, high = _log_log_limits(rest, error, z_of(level))
    return Curve(np.array(table.grid.edges), incidence, 1 - high, 1 - low, table.at_risk)


def log_rank(groups: Sequence[SurvivalTable]) -> Outcome:
    """Test whether groups have the same hazard over the grid.

    Parameters
    ----------
    groups
        One table per group, over one grid; events of all causes count.

    Raises
    ------
    ValueError
        With fewer than two groups, different grids, or no event at all.
    """
    if len(groups) < 2 or any(group.grid != groups[0].grid for group in groups):
        raise ValueError("a log-rank test needs at least two groups over one grid")
    events = np.array([np.array(group.events).sum(axis=0) for group in groups], dtype=np.float64)
    at_risk = np.array([group.at_risk for group in groups], dtype=np.float64)
    total, happened = at_risk.sum(axis=0), events.sum(axis=0)
    used = (total > 1) & (happened > 0)
    if not used.any():
        raise ValueError("a log-rank test needs events")
    share = at_risk[:, used] / total[used]
    expected = share * happened[used]
    factor = happened[used] * (total[used] - happened[used]) / (total[used] - 1)
    covariance = np.diag((share * factor).sum(axis=1)) - np.einsum("ik,jk,k->ij", share, share, factor)
    difference = events[:, used].sum(axis=1) - expected.sum(axis=1)
    kept = slice(0, len(groups) - 1)
    statistic = float(difference[kept] @ np.linalg.pinv(covariance[kept, kept]) @ difference[kept])
    freedom = len(groups) - 1
    notes: tuple[str, ...] = ()
    if happened.sum() < 10 * freedom:
        notes = ("Few events: the chi-square distribution fits badly.",)
    return Outcome(
        "log-rank test", statistic, float(freedom), p_of_chi_square(statistic, freedom), None, notes
    )
