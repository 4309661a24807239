"""Distributions of an outcome with their usual link, and what one row adds to score and information."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

FamilyName = Literal["gaussian", "binomial", "poisson", "negative-binomial", "cox"]
"""``cox`` stands for a partial likelihood; its steps come from ``statistics.survival``."""

_LARGEST_PREDICTOR = 500.0
"""Beyond this a mean is no number any more; a fit that goes there has failed and says so."""


@dataclass(frozen=True)
class RowTerms:
    """What the rows add, each of shape (rows,).

    Parameters
    ----------
    residual
        Derivative of the log-likelihood by the linear predictor.
    weight
        Expected information about the linear predictor.
    log_likelihood
        Up to the dispersion for the Gaussian family: minus half the squared residual.
    size_score, size_curvature
        First and second derivative by the log of the negative binomial's size; else 0.
    """

    residual: NDArray[np.float64]
    weight: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    size_score: NDArray[np.float64]
    size_curvature: NDArray[np.float64]


@dataclass(frozen=True)
class Family:
    """An outcome's distribution.

    Parameters
    ----------
    name
        ``gaussian`` (identity link), ``binomial`` (logit), ``poisson`` and ``negative-binomial`` (log, NB2).
    """

    name: FamilyName

    def check(self, outcome: NDArray[np.float64]) -> None:
        """Refuse outcomes the family can't have.

        Raises
        ------
        ValueError
        """
        if self.name == "binomial" and not np.isin(outcome, (0.0, 1.0)).all():
            raise ValueError("the outcome of a logistic model is 0 or 1")
        is_count = self.name in {"poisson", "negative-binomial"}
        if is_count and ((outcome < 0) | (outcome != np.floor(outcome))).any():
            raise ValueError("the outcome of a count model is a whole number, not below 0")

    def terms(self, outcome: NDArray[np.float64], predictor: NDArray[np.float64], size: float) -> RowTerms:
        """Compute what each row adds.

        Parameters
        ----------
        outcome, predictor
            Shape (rows,).
        size
            Size (1 / alpha) of the negative binomial.
        """
        if self.name == "cox":
            raise ValueError("a Cox model's steps come from risk sets, not from single rows")
        eta = np.clip(predictor, -_LARGEST_PREDICTOR, _LARGEST_PREDICTOR)
        none = np.zeros_like(eta)
        if self.name == "gaussian":
            residual = outcome - predictor
            return RowTerms(residual, np.ones_like(eta), -0.5 * residual * residual, none, none)
        if self.name == "binomial":
            mean = special.expit(eta)
            likelihood = outcome * eta - np.logaddexp(0.0, eta)
            return RowTerms(outcome - mean, mean * special.expit(-eta), likelihood, none, none)
        mean = np.exp(eta)
        if self.name == "poisson":
            likelihood = outcome * eta - mean - special.gammaln(outcome + 1)
            return RowTerms(outcome - mean, mean, likelihood, none, none)
        total = mean + size
        likelihood = (
            special.gammaln(outcome + size)
            - special.gammaln(size)
            - special.gammaln(outcome + 1)
            + outcome * (eta - np.log(total))
            + size * (np.log(size) - np.log(total))
        )
        slope = (
            special.digamma(outcome + size)
            - special.digamma(size)
            + np.log(size / total)
            + 1
            - (outcome + size) / total
        )
        bend = (
            special.polygamma(1, outcome + size)
            - special.polygamma(1, size)
            + 1 / size
            - 2 / total
            + (outcome + size) / total**2
        )
        return RowTerms(
            (outcome - mean) * size / total,
            mean * size / total,
            likelihood,
            size * slope,
            size**2 * bend + size * slope,
        )
