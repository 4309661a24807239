"""Lasso and elastic net across sites: coordinate descent on the added information, a proximal Newton step per round."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from racoon.science.statistics.regression.design import INTERCEPT
from racoon.science.statistics.regression.families import FamilyName
from racoon.science.statistics.regression.fitting import FittedModel, Sites
from racoon.science.statistics.regression.steps import ModelQuestion, ModelStep
from racoon.science.statistics.sums import unfold

_SWEEPS = 10_000
_AT_REST = 1e-9
"""Largest last step, in units of the predictor per SD of a column."""


def fit_lasso(
    sites: Sites,
    family: FamilyName,
    names: tuple[str, ...],
    lasso: float,
    *,
    ridge: float = 0.0,
    rounds: int = 60,
) -> FittedModel:
    """Maximise ``log-likelihood - lasso · Σ|b| - ridge / 2 · Σ b²`` without a penalty on the intercept.

    Parameters
    ----------
    sites
        Who answers.
    family
        ``gaussian`` (half the squared residuals stand for the log-likelihood), ``binomial`` or ``poisson``.
    names
        Columns of the design.
    lasso, ridge
        Penalties, in the columns' own units.
    rounds
        Largest number of rounds.

    Returns
    -------
    FittedModel
        Its covariance is NaN: a penalised estimate has no honest standard error.

    Notes
    -----
    Friedman, Hastie, Tibshirani 2010, doi:10.18637/jss.v033.i01; Lee, Sun, Saunders 2014, doi:10.1137/130921428.
    """
    penalised = np.array([name != INTERCEPT for name in names], dtype=np.float64)
    absolute, square = lasso * penalised, ridge * penalised
    place = np.zeros(len(names))
    question = ModelQuestion(family, names, tuple(map(float, place)))
    step = sites.ask_step(question)
    used, has_converged = 1, False
    while used < rounds:
        information = unfold(step.information, len(names))
        score = np.array([float(value) for value in step.score])
        target = _descend(information, score, place, absolute, square)
        scale = np.sqrt(np.maximum(np.diag(information), 0) / max(float(step.rest[1]), 1e-300))
        if float(np.max(np.abs(target - place) * scale, initial=0.0)) < _AT_REST:
            has_converged = True
            break
        before, share = _value(step, place, absolute, square), 1.0
        while used < rounds:
            tried = place + share * (target - place)
            question = ModelQuestion(family, names, tuple(map(float, tried)))
            following = sites.ask_step(question)
            used += 1
            if _value(following, tried, absolute, square) >= before - 1e-10 * (1 + abs(before)):
                place, step = tried, following
                break
            share /= 2
    kept = sum(1 for value, is_penalised in zip(place, penalised, strict=True) if is_penalised and value)
    total = int(penalised.sum())
    notes: tuple[str, ...] = (
        f"Lasso: {kept} of {total} columns kept; penalised estimates have no standard errors.",
    )
    if not has_converged:
        notes = (f"No convergence within {rounds} rounds; do not read these numbers.",)
    width = len(names)
    return FittedModel(
        family,
        names,
        place if has_converged else np.full(width, np.nan),
        np.full((width, width), np.nan),
        step.n,
        step.positive,
        step.left_out,
        float(step.rest[0]),
        1.0,
        math.inf,
        used,
        has_converged,
        notes,
    )


def _value(
    step: ModelStep, place: NDArray[np.float64], absolute: NDArray[np.float64], square: NDArray[np.float64]
) -> float:
    return float(step.rest[0]) - float(absolute @ np.abs(place)) - 0.5 * float(square @ place**2)


def _descend(
    information: NDArray[np.float64],
    score: NDArray[np.float64],
    place: NDArray[np.float64],
    absolute: NDArray[np.float64],
    square: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Minimise the quadratic model plus penalties, one coordinate after the other."""
    target = place.copy()
    gradient = -score  # of the quadratic model at ``target``
    for _ in range(_SWEEPS):
        largest = 0.0
        for j in range(target.size):
            curvature = information[j, j]
            if curvature <= 0:
                continue
            pull = curvature * target[j] - gradient[j]
            found = math.copysign(max(abs(pull) - absolute[j], 0.0), pull) / (curvature + square[j])
            change = found - target[j]
            if change:
                gradient = gradient + change * information[:, j]
                target[j] = found
                largest = max(largest, abs(change) * math.sqrt(curvature))
        if largest < 1e-13 * (
            1 + float(np.max(np.abs(target) * np.sqrt(np.maximum(np.diag(information), 0))))
        ):
            break
    return target
