"""How well classes or numbers read off images match the truth, each measure with its interval over cases.

Intervals are percentile bootstraps over cases: one matrix of resample counts serves every measure, so they belong
together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from racoon.science.statistics.bootstrap import LEVEL, RESAMPLES

Array = npt.NDArray[np.float64]

CALIBRATION_BINS = 10

DEFINITIONS: Mapping[str, str] = {
    "balanced_accuracy": (
        "mean over classes of the share of their cases that were told; a class without a case is left out"
    ),
    "accuracy": "share of cases whose most probable class is theirs",
    "auc": "mean over classes of the area under the ROC curve, each class against all others; ties count half",
    "sensitivity": "per class, share of its cases that were told",
    "specificity": "per class, share of all other cases that were not called it",
    "brier": "mean over cases of the squared differences between probabilities and truth, summed over classes (0 to 2)",
    "ece": (
        f"expected calibration error: {CALIBRATION_BINS} equal bins of the largest probability, the difference of mean "
        "probability and share told, weighted by cases (doi:10.48550/arXiv.1706.04599)"
    ),
    "mae": "mean absolute error in the target's unit",
    "rmse": "root of the mean squared error in the target's unit",
    "bias": "mean of predicted less true value in the target's unit",
    "r2": "1 less the sum of squared errors by the sum of squares around the mean of these cases",
    "interval": f"95 % percentile bootstrap over cases, {RESAMPLES} resamples, seed 1",
}


def class_measures(truth: Sequence[int], probabilities: npt.ArrayLike) -> dict[str, Any]:
    """Measure a classifier.

    Parameters
    ----------
    truth
        Index of each case's class.
    probabilities
        Shape ``(case, class)``.

    Returns
    -------
    dict
        Measure of :data:`DEFINITIONS` → ``n``, ``mean`` (its value), ``lower``, ``upper``; ``sensitivity`` and
        ``specificity`` are lists by class.
    """
    shares = np.asarray(probabilities, np.float64)
    right = np.asarray(truth, int)
    classes = shares.shape[1]
    told = shares.argmax(axis=1)
    counts = _resamples(len(right))
    size = counts.sum(axis=1)
    correct = (told == right).astype(float)
    sensitivity = np.stack([_share(counts, (told == k) & (right == k), right == k) for k in range(classes)])
    specificity = np.stack([_share(counts, (told != k) & (right != k), right != k) for k in range(classes)])
    areas = np.stack([_area(counts, shares[:, k], right == k) for k in range(classes)])
    wanted = np.eye(classes)[right]
    largest = shares.max(axis=1)
    bins = np.eye(CALIBRATION_BINS)[
        np.minimum((largest * CALIBRATION_BINS).astype(int), CALIBRATION_BINS - 1)
    ]
    gaps = np.abs(counts @ (bins * (largest - correct)[:, None])).sum(axis=1) / size
    n = len(right)
    return {
        "balanced_accuracy": _interval(_mean_of_known(sensitivity), n),
        "accuracy": _interval(counts @ correct / size, n),
        "auc": _interval(_mean_of_known(areas), n),
        "sensitivity": [_interval(row, int((right == k).sum())) for k, row in enumerate(sensitivity)],
        "specificity": [_interval(row, int((right != k).sum())) for k, row in enumerate(specificity)],
        "brier": _interval(counts @ ((shares - wanted) ** 2).sum(axis=1) / size, n),
        "ece": _interval(gaps, n),
    }


def number_measures(truth: npt.ArrayLike, predicted: npt.ArrayLike) -> dict[str, Any]:
    """Measure a regression; both in the target's unit.

    Returns
    -------
    dict
        As :func:`class_measures`; ``r2`` has no value where all true values are equal.
    """
    wanted, found = np.asarray(truth, np.float64), np.asarray(predicted, np.float64)
    counts = _resamples(len(wanted))
    size = counts.sum(axis=1)
    error = found - wanted
    squares = counts @ error**2
    centred = wanted - wanted.mean()
    around = counts @ centred**2 - (counts @ centred) ** 2 / size
    with np.errstate(divide="ignore", invalid="ignore"):
        explained = np.where(
            around > 1e-12 * max(1.0, float(centred @ centred)), 1.0 - squares / around, np.nan
        )
    n = len(wanted)
    return {
        "mae": _interval(counts @ np.abs(error) / size, n),
        "rmse": _interval(np.sqrt(squares / size), n),
        "bias": _interval(counts @ error / size, n),
        "r2": _interval(explained, n),
    }


def _resamples(cases: int) -> Array:
    """Return how often each case is in each resample; the first row is the cases themselves."""
    generator = np.random.Generator(np.random.PCG64(1))
    drawn = generator.multinomial(cases, np.full(cases, 1 / cases), RESAMPLES)
    return np.vstack([np.ones(cases), drawn])


def _share(counts: Array, part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> Array:
    size = counts @ whole
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(size > 0, counts @ part / size, np.nan))


def _area(counts: Array, scores: Array, positive: npt.NDArray[np.bool_]) -> Array:
    first, second = scores[positive], scores[~positive]
    wins = (first[:, None] > second) + 0.5 * (first[:, None] == second)
    pairs = counts[:, positive].sum(axis=1) * counts[:, ~positive].sum(axis=1)
    won = ((counts[:, positive] @ wins) * counts[:, ~positive]).sum(axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(pairs > 0, won / pairs, np.nan))


def _mean_of_known(rows: Array) -> Array:
    known = ~np.isnan(rows)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(known, rows, 0.0).sum(axis=0) / known.sum(axis=0))


def _interval(values: Array, n: int) -> dict[str, Any]:
    """Value of the cases themselves, and the interval over those resamples that have one."""
    own = None if np.isnan(values[0]) else float(values[0])
    known = values[1:][~np.isnan(values[1:])]
    if own is None or n < 2 or known.size < RESAMPLES // 2:
        return {"n": n, "mean": own, "lower": None, "upper": None}
    lower, upper = np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return {"n": n, "mean": own, "lower": float(lower), "upper": float(upper)}
