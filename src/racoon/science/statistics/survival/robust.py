"""Robust and clustered variance of Cox models: squared score residuals, added over sites.

A score residual is what one subject adds to the score when the risk sets are taken as they were found (Lin, Wei 1989,
doi:10.1080/01621459.1989.10478874); with Efron's way with ties those who fail together count in parts, as in R's
``survival``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.regression.steps import Meat, ModelQuestion, meat_of
from racoon.science.statistics.survival.cox import RiskSums, SurvivalRows, Ties, at_risk_sums, parts_of
from racoon.science.statistics.survival.grid import TimeGrid


def path_width(covariates: int) -> int:
    """Count the numbers of a risk path per interval."""
    return 2 + 3 * covariates


def risk_path(sums: RiskSums, ties: Ties) -> tuple[float, ...]:
    """Say what sites need of the common risk sets to square their own score residuals.

    Parameters
    ----------
    sums
        Added sums of all sites.
    ties
        Breslow's or Efron's way with events in one interval.

    Returns
    -------
    tuple of float
        Per interval: cumulative hazard for those who leave in it and for those who fail in it; the same two with the
        mean covariates as weights; mean covariates at the events.
    """
    width = len(sums.names)
    all_of = [parts_of(part, width)[:2] for part in at_risk_sums(sums)]
    failed = [parts_of(part, width)[:2] for part in sums.failing]
    path = _path(
        np.array([part[0] for part in all_of]),
        np.array([part[1] for part in all_of]).reshape(-1, width),
        np.array([part[0] for part in failed]),
        np.array([part[1] for part in failed]).reshape(-1, width),
        sums.events,
        ties,
    )
    return tuple(float(value) for value in path.ravel())


def _path(
    s0: NDArray[np.float64],
    s1: NDArray[np.float64],
    d0: NDArray[np.float64],
    d1: NDArray[np.float64],
    events: Sequence[int],
    ties: Ties,
) -> NDArray[np.float64]:
    width = s1.shape[1]
    found = np.zeros((len(events), path_width(width)))
    hazard, weighted = 0.0, np.zeros(width)
    for place, deaths in enumerate(events):
        inner, inner_weighted, mean = hazard, weighted, np.zeros(width)
        if deaths:
            share = np.arange(deaths) / deaths if ties == "efron" else np.zeros(deaths)
            weight = s0[place] - share * d0[place]
            means = (s1[place] - share[:, None] * d1[place]) / weight[:, None]
            each = 1 / weight
            inner = hazard + float(((1 - share) * each).sum())
            inner_weighted = weighted + (((1 - share) * each)[:, None] * means).sum(axis=0)
            hazard += float(each.sum())
            weighted = weighted + (each[:, None] * means).sum(axis=0)
            mean = means.mean(axis=0)
        found[place] = (hazard, inner, *weighted, *inner_weighted, *mean)
    return found


def _residuals(
    rows: SurvivalRows,
    weights: NDArray[np.float64],
    places: NDArray[np.intp],
    failed: NDArray[np.bool_],
    path: NDArray[np.float64],
) -> NDArray[np.float64]:
    width = len(rows.names)
    own = path[places].T
    hazard = np.where(failed, own[1], own[0])
    weighted = np.where(failed, own[2 + width : 2 + 2 * width], own[2 : 2 + width])
    at_event = np.where(failed, rows.columns - own[2 + 2 * width :], 0.0)
    return np.asarray(at_event - weights * (rows.columns * hazard - weighted), dtype=np.float64)


def grid_residuals(
    rows: SurvivalRows, grid: TimeGrid, question: ModelQuestion, path: ArrayLike
) -> NDArray[np.float64]:
    """Compute the score residuals of a site's subjects on a common grid.

    Parameters
    ----------
    rows, grid
        Rows of this site, and the common grid.
    question
        The last one of the fit.
    path
        From :func:`risk_path`.

    Returns
    -------
    numpy.ndarray
        Shape (covariates, rows).

    Raises
    ------
    ValueError
        If the path is over another grid or other covariates.
    """
    shape = (len(grid.edges), path_width(len(rows.names)))
    known = np.asarray(path, dtype=np.float64)
    if known.size != shape[0] * shape[1] or not np.isfinite(known).all():
        raise ValueError("a risk path has the same numbers for each interval of the grid")
    places, kinds = grid.place(rows.times, rows.events)
    weights = np.exp(rows.predictor(question.coefficients))
    return _residuals(rows, weights, places, kinds == 1, known.reshape(shape))


def own_residuals(rows: SurvivalRows, question: ModelQuestion, ties: Ties) -> NDArray[np.float64]:
    """Compute the score residuals of a site's subjects over its own risk sets.

    Parameters
    ----------
    rows
        Rows of this site.
    question
        The last one of the fit.
    ties
        Way with equal times.

    Returns
    -------
    numpy.ndarray
        Shape (covariates, rows).
    """
    weights, failed = np.exp(rows.predictor(question.coefficients)), rows.events == 1
    unique, places = np.unique(rows.times, return_inverse=True)
    # Sums in one order for one set of rows, whatever the order of the table.
    order = np.lexsort((*rows.columns, rows.events, rows.times))
    parts = np.vstack([weights, weights * rows.columns]).T

    def add(chosen: NDArray[np.intp]) -> NDArray[np.float64]:
        found = np.zeros((unique.size, parts.shape[1]))
        np.add.at(found, places[chosen], parts[chosen])
        return found

    at_risk = np.cumsum(add(order)[::-1], axis=0)[::-1]
    dying = add(order[failed[order]])
    events = np.bincount(places[failed], minlength=unique.size)
    path = _path(at_risk[:, 0], at_risk[:, 1:], dying[:, 0], dying[:, 1:], [int(n) for n in events], ties)
    return _residuals(rows, weights, places, failed, path)


def robust_meat(rows: SurvivalRows, residuals: NDArray[np.float64], *, by_cluster: bool) -> Meat:
    """Square score residuals, or their sums per cluster.

    Parameters
    ----------
    rows
        Whose residuals.
    residuals
        Shape (covariates, rows).
    by_cluster
        Add the residuals of each cluster first.
    """
    return meat_of(residuals, rows.clusters if by_cluster else None)
