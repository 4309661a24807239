"""Balanced comparisons: weights from propensities, and pairs within a site."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Estimand = Literal["ate", "att"]


def treatment_weights(
    propensities: ArrayLike, treated: ArrayLike, estimand: Estimand, trim: Sequence[float] = (0.01, 0.99)
) -> NDArray[np.float64]:
    """Weigh subjects by the inverse of the chance of the treatment they got.

    Parameters
    ----------
    propensities
        Chance to be treated, shape (rows,).
    treated
        0 or 1.
    estimand
        ``ate``: both groups stand for all; ``att``: the untreated stand for the treated.
    trim
        Propensities beyond these are brought to them, so that nobody weighs without bound.

    Notes
    -----
    Rosenbaum 1987, doi:10.1080/01621459.1987.10478441; Hirano, Imbens, Ridder 2003, doi:10.1111/1468-0262.00442.
    """
    chance = np.clip(np.asarray(propensities, dtype=np.float64), trim[0], trim[1])
    is_treated = np.asarray(treated, dtype=np.float64) == 1
    if estimand == "ate":
        return np.where(is_treated, 1 / chance, 1 / (1 - chance))
    return np.where(is_treated, 1.0, chance / (1 - chance))


def match_pairs(scores: ArrayLike, treated: ArrayLike, caliper: float) -> NDArray[np.intp]:
    """Pair each treated subject with the nearest untreated one, each at most once.

    Parameters
    ----------
    scores
        Logit of the propensity, shape (rows,).
    treated
        0 or 1.
    caliper
        Largest distance of a pair.

    Returns
    -------
    ndarray
        Rows of the treated and of their partners, shape (pairs, 2).

    Notes
    -----
    Nearest pairs first: the closest of all pairs that are left is taken, so that no order of the rows matters unless
    two distances are equal; then the scores decide.
    """
    score, is_treated = np.asarray(scores, dtype=np.float64), np.asarray(treated, dtype=np.float64) == 1
    ones, others = np.flatnonzero(is_treated), np.flatnonzero(~is_treated)
    if not ones.size or not others.size:
        return np.zeros((0, 2), np.intp)
    others = others[np.argsort(score[others], kind="stable")]
    candidates = []
    for row in ones:
        first, last = np.searchsorted(score[others], [score[row] - caliper, score[row] + caliper])
        candidates += [
            (abs(score[row] - score[other]), score[row], row, other) for other in others[first:last]
        ]
    candidates.sort(key=lambda item: item[:2])
    taken: set[int] = set()
    pairs = []
    for _, _, row, other in candidates:
        if int(row) not in taken and int(other) not in taken:
            taken |= {int(row), int(other)}
            pairs.append((row, other))
    return np.array(pairs, dtype=np.intp).reshape(-1, 2)


@dataclass(frozen=True)
class WeightedMoments:
    """Weighted mean and variance of a covariate in one group."""

    weight: float
    mean: float
    variance: float

    @classmethod
    def of(cls, weight: float, total: float, squares: float) -> WeightedMoments:
        """Make them of ``Σw``, ``Σwx`` and ``Σwx²``."""
        mean = total / weight if weight > 0 else float("nan")
        return cls(weight, mean, max(squares / weight - mean**2, 0.0) if weight > 0 else float("nan"))


def balance(treated: WeightedMoments, others: WeightedMoments, spread: float) -> float:
    """Difference of the means over a spread that weighting does not change (Austin 2009, doi:10.1002/sim.3697)."""
    return (treated.mean - others.mean) / spread if spread > 0 else float("nan")


def effective_size(weights: ArrayLike) -> float:
    """Kish's effective number of rows: the squared sum of the weights over the sum of their squares."""
    w = np.asarray(weights, dtype=np.float64)
    return float(w.sum() ** 2 / (w**2).sum()) if w.size and (w**2).sum() > 0 else 0.0
