"""Published time grids: a time becomes the end of its interval, the same at all sites."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True)
class TimeGrid:
    """Intervals ``(0, e₁], (e₁, e₂], …``; times beyond the last edge are censored there.

    Parameters
    ----------
    edges
        Ascending positive ends of the intervals, in the unit of the times; chosen before anybody has seen a time.
    """

    edges: tuple[float, ...]

    def __post_init__(self) -> None:
        if not self.edges or self.edges[0] <= 0 or any(np.diff(self.edges) <= 0):
            raise ValueError("a time grid needs ascending, positive edges")
        if not np.isfinite(self.edges).all():
            raise ValueError("a time grid needs finite edges")

    @classmethod
    def regular(cls, last: float, step: float) -> TimeGrid:
        """Build intervals of one length."""
        count = round(last / step)
        if count < 1 or abs(count * step - last) > 1e-9 * last:
            raise ValueError("the last edge must be a whole number of steps")
        return cls(tuple(step * number for number in range(1, count + 1)))

    def place(self, times: ArrayLike, events: ArrayLike) -> tuple[NDArray[np.intp], NDArray[np.int64]]:
        """Put times into intervals.

        Parameters
        ----------
        times
            Follow-up, shape (rows,), not negative; a time of 0 belongs to the first interval.
        events
            0 censored, 1, 2, … cause of the event.

        Returns
        -------
        tuple
            Interval per row, and the events, with those after the last edge censored.
        """
        t, e = np.asarray(times, dtype=np.float64), np.asarray(events, dtype=np.float64)
        if t.shape != e.shape or not np.isfinite(t).all() or (t < 0).any():
            raise ValueError("follow-up times must be finite and not negative, with one event code each")
        if (e != np.floor(e)).any() or (e < 0).any():
            raise ValueError("event codes are whole numbers, 0 for censored")
        found = np.searchsorted(self.edges, t, side="left")
        late = found == len(self.edges)
        return np.where(late, len(self.edges) - 1, found), np.where(late, 0, e).astype(np.int64)


def supported_edges(
    grid: TimeGrid, times: ArrayLike, events: ArrayLike, *, minimum: int
) -> tuple[float, ...]:
    """Choose the edges of a grid that a site may use: each interval between them holds enough events.

    Parameters
    ----------
    grid
        Finest grid of the study.
    times, events
        Rows of the site.
    minimum
        Smallest number of events per interval.

    Returns
    -------
    tuple of float
        Edges; empty when the site has too few events altogether.
    """
    places, causes = grid.place(times, events)
    counts = np.bincount(places[causes > 0], minlength=len(grid.edges))
    found: list[float] = []
    gathered = 0
    for edge, count in zip(grid.edges, counts, strict=True):
        gathered += int(count)
        if gathered >= minimum:
            found.append(edge)
            gathered = 0
    if found and gathered:  # what is left after the last interval joins it
        found[-1] = grid.edges[-1]
    return tuple(found)


def common_edges(supported: Iterable[Sequence[float]]) -> TimeGrid | None:
    """Find the grid all sites support: an interval between shared edges holds whole intervals of each.

    The last interval ends at the latest edge anybody needs.  ``None`` when no edge is shared or a site has none.
    """
    sets = [tuple(edges) for edges in supported]
    if not sets or not all(sets):
        return None
    last = max(edges[-1] for edges in sets)
    shared = set.intersection(*(set(edges[:-1]) for edges in sets))
    return TimeGrid((*sorted(shared), last))
