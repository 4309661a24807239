"""Cox models: on a common grid from sums per interval, or stratified by site from each site's own risk sets.

Both hand :func:`racoon.science.statistics.regression.fit_model` a score and an information, so that separation,
collinearity and ridge work as in every other model.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.exact import ZERO, Dyadic
from racoon.science.statistics.regression.steps import ModelQuestion, ModelStep
from racoon.science.statistics.sums import add_all, exact_column_sums, exact_triangle, unfold
from racoon.science.statistics.survival.grid import TimeGrid

Ties = Literal["breslow", "efron"]

_LARGEST_PREDICTOR = 300.0


@dataclass(frozen=True)
class SurvivalRows:
    """Complete rows of one site; they never leave it.

    Parameters
    ----------
    names
        Covariates.
    columns
        Shape (covariates, rows).
    times, events
        Follow-up and event (0 or 1), shape (rows,).
    left_out
        Rows left out because a value is missing.
    clusters
        Number of each row's cluster, shape (rows,); ``None`` where every row stands for itself.
    """

    names: tuple[str, ...]
    columns: NDArray[np.float64]
    times: NDArray[np.float64]
    events: NDArray[np.float64]
    left_out: int = 0
    clusters: NDArray[np.intp] | None = None

    @classmethod
    def of(
        cls,
        names: Sequence[str],
        covariates: ArrayLike,
        times: ArrayLike,
        events: ArrayLike,
        clusters: ArrayLike | None = None,
    ) -> SurvivalRows:
        """Keep the complete rows; covariates have the shape (rows, covariates), clusters any numbers."""
        matrix = np.asarray(covariates, dtype=np.float64)
        t, e = np.asarray(times, dtype=np.float64), np.asarray(events, dtype=np.float64)
        if matrix.shape != (t.size, len(names)) or e.shape != t.shape:
            raise ValueError("survival rows need one time, event and covariate row each")
        groups = np.zeros(t.size) if clusters is None else np.asarray(clusters, dtype=np.float64)
        kept = np.isfinite(matrix).all(axis=1) & np.isfinite(t) & np.isfinite(e) & np.isfinite(groups)
        if not np.isin(e[kept], (0.0, 1.0)).all() or (t[kept] < 0).any():
            raise ValueError("events are 0 or 1 and times are not negative")
        codes = None if clusters is None else np.unique(groups[kept], return_inverse=True)[1]
        columns = np.ascontiguousarray(matrix[kept].T)
        return cls(tuple(names), columns, t[kept], e[kept], int((~kept).sum()), codes)

    def predictor(self, coefficients: Sequence[float]) -> NDArray[np.float64]:
        """Linear predictor, column by column, so that it depends on nothing but the row."""
        found = np.zeros(self.times.size)
        for column, coefficient in zip(self.columns, coefficients, strict=True):
            found += column * coefficient
        return np.clip(found, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR)


@dataclass(frozen=True)
class RiskSums:
    """A site's answer on a grid: weighted sums over those who leave, and over those with an event, per interval.

    Parameters
    ----------
    grid
        The common grid.
    names
        Covariates.
    n, events, left_out
        Rows, events per interval, rows left out.
    leaving, failing
        Per interval: sums of ``w``, ``w·x`` and ``w·x·x'`` (upper triangle), with ``w = exp(predictor)``, over all
        who leave in it and over those with an event.
    totals
        Per interval: sum of the covariates over events, then of the predictor.
    """

    grid: TimeGrid
    names: tuple[str, ...]
    n: int
    events: tuple[int, ...]
    left_out: int
    leaving: tuple[tuple[Dyadic, ...], ...]
    failing: tuple[tuple[Dyadic, ...], ...]
    totals: tuple[tuple[Dyadic, ...], ...]

    def __add__(self, other: RiskSums) -> RiskSums:
        if self.grid != other.grid or self.names != other.names:
            raise ValueError("sums over different grids or covariates can't be added")
        return RiskSums(
            self.grid,
            self.names,
            self.n + other.n,
            tuple(a + b for a, b in zip(self.events, other.events, strict=True)),
            self.left_out + other.left_out,
            tuple(add_all(a, b) for a, b in zip(self.leaving, other.leaving, strict=True)),
            tuple(add_all(a, b) for a, b in zip(self.failing, other.failing, strict=True)),
            tuple(add_all(a, b) for a, b in zip(self.totals, other.totals, strict=True)),
        )

    @classmethod
    def merge(cls, parts: Iterable[RiskSums]) -> RiskSums:
        """Add any number of parts, in any order.

        Raises
        ------
        ValueError
            Without any part, or when grids differ.
        """
        merged: RiskSums | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        texts = {
            name: [[str(value) for value in part] for part in getattr(self, name)]
            for name in ("leaving", "failing", "totals")
        }
        return {
            "edges": list(self.grid.edges),
            "names": list(self.names),
            "n": self.n,
            "events": list(self.events),
            "left_out": self.left_out,
            **texts,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> RiskSums:
        """Read the JSON form.

        Raises
        ------
        ValueError
            If the parts don't fit the grid.
        """
        leaving, failing, totals = (
            tuple(tuple(Dyadic.from_text(text) for text in part) for part in document[name])
            for name in ("leaving", "failing", "totals")
        )
        grid = TimeGrid(tuple(float(edge) for edge in document["edges"]))
        events = tuple(int(count) for count in document["events"])
        if {len(leaving), len(failing), len(totals), len(events)} != {len(grid.edges)}:
            raise ValueError("risk-set sums have one part per interval")
        names = tuple(str(name) for name in document["names"])
        return cls(
            grid, names, int(document["n"]), events, int(document["left_out"]), leaving, failing, totals
        )


def compute_risk_sums(rows: SurvivalRows, grid: TimeGrid, question: ModelQuestion) -> RiskSums:
    """Answer one round on a grid.

    Parameters
    ----------
    rows
        Rows of this site.
    grid
        The common grid.
    question
        From CENTRAL.
    """
    if rows.names != question.names:
        raise ValueError("the question is about other columns")
    places, kinds = grid.place(rows.times, rows.events)
    predictor = rows.predictor(question.coefficients)
    weights = np.exp(predictor)
    leaving, failing, totals = [], [], []
    for interval in range(len(grid.edges)):
        here = places == interval
        failed = here & (kinds == 1)
        leaving.append(_weighted(rows.columns[:, here], weights[here]))
        failing.append(_weighted(rows.columns[:, failed], weights[failed]))
        totals.append(exact_column_sums(np.vstack([rows.columns[:, failed], predictor[failed]]).T))
    events = np.bincount(places[kinds == 1], minlength=len(grid.edges))
    return RiskSums(
        grid,
        rows.names,
        int(rows.times.size),
        tuple(int(count) for count in events),
        rows.left_out,
        tuple(leaving),
        tuple(failing),
        tuple(totals),
    )


def _weighted(columns: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[Dyadic, ...]:
    weighted = columns * weights
    return (
        *exact_column_sums(np.vstack([weights, weighted]).T),
        *exact_triangle(weighted, columns),
    )


def at_risk_sums(sums: RiskSums) -> list[tuple[Dyadic, ...]]:
    """Add up who is at risk in each interval: those who leave in it or later, exactly."""
    width = len(sums.names)
    running: tuple[Dyadic, ...] = (ZERO,) * (1 + width + width * (width + 1) // 2)
    found: list[tuple[Dyadic, ...]] = []
    for part in reversed(sums.leaving):
        running = add_all(running, part)
        found.append(running)
    return found[::-1]


def step_of(sums: RiskSums, ties: Ties) -> ModelStep:
    """Turn added sums into score, information and log-likelihood of the partial likelihood.

    Parameters
    ----------
    sums
        Of all sites, or of one.
    ties
        Breslow's or Efron's way with events in one interval.
    """
    width = len(sums.names)
    at_risk = at_risk_sums(sums)
    score, information, likelihood = np.zeros(width), np.zeros((width, width)), 0.0
    for place, deaths in enumerate(sums.events):
        if not deaths:
            continue
        s0, s1, s2 = parts_of(at_risk[place], width)
        d0, d1, d2 = parts_of(sums.failing[place], width)
        shares = np.arange(deaths) / deaths if ties == "efron" else np.zeros(deaths)
        totals = [float(value) for value in sums.totals[place]]
        score += totals[:width]
        likelihood += totals[width]
        weight, first = s0 - shares * d0, s1 - shares[:, None] * d1
        means = first / weight[:, None]
        second = (s2 - shares[:, None, None] * d2) / weight[:, None, None]
        score -= means.sum(axis=0)
        information += (second - means[:, :, None] * means[:, None, :]).sum(axis=0)
        likelihood -= float(np.log(weight).sum())
    deaths = sum(sums.events)
    return ModelStep(
        sums.names,
        sums.n,
        deaths,
        sums.left_out,
        tuple(Dyadic.from_float(float(value)) for value in score),
        tuple(Dyadic.from_float(float(value)) for value in information[np.triu_indices(width)]),
        (Dyadic.from_float(likelihood), Dyadic.of(deaths), ZERO, ZERO),
    )


def parts_of(sums: tuple[Dyadic, ...], width: int) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Take weighted sums apart: of ``w``, ``w·x`` and ``w·x·x'``."""
    first = np.array([float(value) for value in sums[1 : width + 1]])
    return float(sums[0]), first, unfold(sums[width + 1 :], width)


def compute_own_step(rows: SurvivalRows, question: ModelQuestion, ties: Ties) -> ModelStep:
    """Answer one round of a model stratified by site: this site's own risk sets, every time its own interval.

    Parameters
    ----------
    rows
        Rows of this site.
    question
        From CENTRAL.
    ties
        Way with equal times.
    """
    if rows.names != question.names:
        raise ValueError("the question is about other columns")
    width, n = len(rows.names), rows.times.size
    # One order for one set of rows, latest first: whoever is at risk stands above.
    order = np.lexsort((*rows.columns, rows.events, -rows.times))
    times, failed, x = rows.times[order], rows.events[order] == 1, rows.columns[:, order].T
    predictor = rows.predictor(question.coefficients)[order]
    w = np.exp(predictor)
    deaths = int(failed.sum())
    if not deaths:
        return _as_step(rows, 0, np.zeros(width), np.zeros((width, width)), 0.0)
    wx = w[:, None] * x
    wxx = wx[:, :, None] * x[:, None, :]
    last = np.flatnonzero(np.append(np.diff(times) != 0, True))  # last row of each time
    tied = np.searchsorted(last, np.arange(n))
    s0, s1, s2 = (np.cumsum(part, axis=0)[last] for part in (w, wx, wxx))
    d0, d1, d2 = (_grouped(part[failed], tied[failed], last.size) for part in (w, wx, wxx))
    counts = np.bincount(tied[failed], minlength=last.size)
    place = np.repeat(np.arange(last.size), counts)
    number = np.arange(deaths) - np.repeat(np.cumsum(counts) - counts, counts)
    share = number / counts[place] if ties == "efron" else np.zeros(deaths)
    weight = s0[place] - share * d0[place]
    means = (s1[place] - share[:, None] * d1[place]) / weight[:, None]
    second = (s2[place] - share[:, None, None] * d2[place]) / weight[:, None, None]
    score = x[failed].sum(axis=0) - means.sum(axis=0)
    information = (second - means[:, :, None] * means[:, None, :]).sum(axis=0)
    return _as_step(rows, deaths, score, information, float(predictor[failed].sum() - np.log(weight).sum()))


def _grouped(values: NDArray[np.float64], groups: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    found = np.zeros((count, *values.shape[1:]))
    np.add.at(found, groups, values)
    return found


def _as_step(
    rows: SurvivalRows,
    deaths: int,
    score: NDArray[np.float64],
    information: NDArray[np.float64],
    likelihood: float,
) -> ModelStep:
    return ModelStep(
        rows.names,
        int(rows.times.size),
        deaths,
        rows.left_out,
        tuple(Dyadic.from_float(float(value)) for value in score),
        tuple(Dyadic.from_float(float(value)) for value in information[np.triu_indices(len(rows.names))]),
        (Dyadic.from_float(likelihood), Dyadic.of(deaths), ZERO, ZERO),
    )
