"""Central part of a model: Fisher scoring on added answers, and in words what went wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from scipy import special

from racoon.science.statistics.estimate import Estimate, p_of_t, p_of_z, z_of
from racoon.science.statistics.regression.design import INTERCEPT, Design
from racoon.science.statistics.regression.families import FamilyName
from racoon.science.statistics.regression.steps import (
    Meat,
    ModelQuestion,
    ModelStep,
    compute_meat,
    compute_step,
)
from racoon.science.statistics.sums import unfold

Variance = Literal["model", "robust", "clustered"]

_DEPENDENT = 1e-11
"""Smallest eigenvalue of the information, scaled to a unit diagonal, that still carries six digits."""

_DIVERGED = 8.0
"""A coefficient that moves the predictor by so many units per SD and still grows will not come to rest."""


SEPARATION_ADVICE = "no finite estimate exists. Merge levels, leave it out, or ask for a ridge penalty."

_AT_REST = 1e-3
"""Largest last step, in units of the predictor per SD of a column; far below any standard error."""


class Sites(Protocol):
    """The sites of a fit, asked together; each answer is the sum over those that took part."""

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask for score and information."""


@runtime_checkable
class RobustSites(Sites, Protocol):
    """Sites that can also give what a robust variance needs."""

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:
        """Ask for the squared scores per cluster, or per row."""


@dataclass(frozen=True)
class Options:
    """How to fit.

    Parameters
    ----------
    variance
        ``model`` (expected information), ``robust`` (HC1 for linear models, Lin and Wei's for Cox models, otherwise
        HC0) or ``clustered``.
    ridge
        Penalty ``ridge / 2 · Σ coefficient²`` on the log-likelihood, without the intercept.
    rounds
        Largest number of rounds.
    tolerance
        The fit has converged when the next step would raise the log-likelihood by less than this.
    level
        Confidence level.
    """

    variance: Variance = "model"
    ridge: float = 0.0
    rounds: int = 40
    tolerance: float = 1e-14
    level: float = 0.95


@dataclass(frozen=True)
class FittedModel:
    """A fit.

    Parameters
    ----------
    family, names
        As asked.
    coefficients
        Shape (columns,).
    covariance
        Of the coefficients, shape (columns, columns).
    n, positive, left_out
        Rows, rows with an outcome above 0, rows left out because a value is missing.
    log_likelihood
        At the coefficients.
    dispersion
        Residual variance of the Gaussian family, alpha of the negative binomial, else 1.
    freedom
        Residual degrees of freedom for t intervals; infinite where normal intervals are used.
    rounds
        Rounds asked.
    has_converged
        False where no number should be read.
    notes
        In words: separation, collinearity, no convergence; empty when nothing speaks against the fit.
    """

    family: FamilyName
    names: tuple[str, ...]
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    n: int
    positive: int
    left_out: int
    log_likelihood: float
    dispersion: float
    freedom: float
    rounds: int
    has_converged: bool
    notes: tuple[str, ...] = ()
    level: float = 0.95

    @property
    def standard_errors(self) -> NDArray[np.float64]:
        """Shape (columns,)."""
        return np.asarray(np.sqrt(np.diag(self.covariance)), dtype=np.float64)

    @property
    def p_values(self) -> NDArray[np.float64]:
        """Two-sided Wald p values, shape (columns,)."""
        ratios = self.coefficients / self.standard_errors
        if math.isinf(self.freedom):
            return np.array([p_of_z(ratio) for ratio in ratios])
        return np.array([p_of_t(ratio, self.freedom) for ratio in ratios])

    def estimate(self, name: str) -> Estimate:
        """Coefficient with its interval."""
        place = self.names.index(name)
        value, error = float(self.coefficients[place]), float(self.standard_errors[place])
        reach = _quantile(self.level, self.freedom) * error
        return Estimate(value, value - reach, value + reach, self.n)

    def ratio(self, name: str) -> Estimate:
        """Odds or rate ratio with its interval: the exponential of the coefficient."""
        found = self.estimate(name)
        return Estimate(math.exp(found.value), math.exp(found.low), math.exp(found.high), self.n)


def _quantile(level: float, freedom: float) -> float:
    return z_of(level) if math.isinf(freedom) else float(special.stdtrit(freedom, (1 + level) / 2))


@dataclass
class _State:
    """Where the search stands."""

    question: ModelQuestion
    step: ModelStep
    rounds: int


def fit_model(
    sites: Sites, family: FamilyName, names: Sequence[str], options: Options | None = None
) -> FittedModel:
    """Fit a model by asking the sites in rounds.

    Parameters
    ----------
    sites
        Who answers.
    family
        Family of the outcome.
    names
        Columns of the design.
    options
        How to fit.

    Returns
    -------
    FittedModel
        Always; its notes say in words when it should not be read.

    Notes
    -----
    Fisher scoring (iteratively reweighted least squares); a step that lowers the log-likelihood is halved.  The
    size of the negative binomial takes a Newton step of its own in each round: its information about the
    coefficients is 0.
    """
    return _Search(sites, family, tuple(names), options or Options()).run()


class _Search:
    def __init__(self, sites: Sites, family: FamilyName, names: tuple[str, ...], options: Options) -> None:
        self._sites, self._family, self._names, self._options = sites, family, names, options
        self._penalty = np.array([0.0 if name == INTERCEPT else options.ridge for name in names])
        self._scale = np.ones(len(names))

    def run(self) -> FittedModel:
        start = ModelQuestion(self._family, self._names, (0.0,) * len(self._names))
        state = _State(start, self._sites.ask_step(start), 1)
        self._scale = self._spread(state.step)
        if dependent := self._dependent(state.step):
            note = f"Linearly dependent, leave one of them out: {', '.join(dependent)}."
            return self._result(state, False, (note,))
        has_converged = False
        while state.rounds < self._options.rounds:
            direction, gain = self._direction(state)
            growth = self._size_growth(state)
            if gain < self._options.tolerance and abs(growth) < 1e-9:
                # Nothing to gain by a step that is not small: the top lies at infinity.
                has_converged = bool((np.abs(direction) * self._scale < _AT_REST).all())
                break
            self._advance(state, direction, growth)
        notes = () if has_converged else self._why_not(state)
        return self._result(state, has_converged and not notes, notes)

    def _objective(self, question: ModelQuestion, step: ModelStep) -> float:
        return float(step.rest[0]) - 0.5 * float(self._penalty @ np.square(question.coefficients))

    def _advance(self, state: _State, direction: NDArray[np.float64], growth: float) -> None:
        """Take the step; halve it while the log-likelihood falls."""
        before = self._objective(state.question, state.step)
        share = 1.0
        while state.rounds < self._options.rounds:
            coefficients = tuple(
                float(value) for value in np.array(state.question.coefficients) + share * direction
            )
            size = state.question.size * math.exp(share * growth)
            question = ModelQuestion(self._family, self._names, coefficients, size)
            step = self._sites.ask_step(question)
            state.rounds += 1
            after = self._objective(question, step)
            # Close to the top the last digits of the log-likelihood are noise; a step there is never halved.
            if after >= before - 1e-10 * (1 + abs(before)):
                state.question, state.step = question, step
                return
            share /= 2

    def _information(self, step: ModelStep) -> NDArray[np.float64]:
        return unfold(step.information, len(self._names)) + np.diag(self._penalty)

    def _direction(self, state: _State) -> tuple[NDArray[np.float64], float]:
        score = np.array([float(value) for value in state.step.score])
        score -= self._penalty * np.array(state.question.coefficients)
        direction = _solve(self._information(state.step), score)
        gain = float(score @ direction) / 2
        # Squared residuals carry the outcome's unit; compare with what is left of them.
        return direction, gain / max(
            -float(state.step.rest[0]), 1e-300
        ) if self._family == "gaussian" else gain

    def _size_growth(self, state: _State) -> float:
        if self._family != "negative-binomial":
            return 0.0
        slope, bend = float(state.step.rest[2]), float(state.step.rest[3])
        step = -slope / bend if bend < 0 else math.copysign(0.5, slope)
        return min(max(step, -1.0), 1.0)

    def _spread(self, step: ModelStep) -> NDArray[np.float64]:
        """SD of each column, from the information at zero (there all rows weigh the same)."""
        information = unfold(step.information, len(self._names))
        total = np.diag(information)
        if INTERCEPT not in self._names:
            return np.asarray(np.sqrt(total / max(float(step.rest[1]), 1e-300)), dtype=np.float64)
        constant = self._names.index(INTERCEPT)
        weight = max(float(information[constant, constant]), 1e-300)
        means = information[constant] / weight
        return np.asarray(np.sqrt(np.maximum(total / weight - means**2, 0)), dtype=np.float64)

    def _dependent(self, step: ModelStep) -> tuple[str, ...]:
        information = self._information(step)
        diagonal = np.diag(information)
        empty = tuple(name for name, value in zip(self._names, diagonal, strict=True) if value <= 0)
        if empty:
            return empty
        scaled = information / np.sqrt(np.outer(diagonal, diagonal))
        values, vectors = np.linalg.eigh(scaled)
        if values[0] > _DEPENDENT:
            return ()
        return tuple(
            name for name, part in zip(self._names, np.abs(vectors[:, 0]), strict=True) if part > 0.05
        )

    def _why_not(self, state: _State) -> tuple[str, ...]:
        reach = np.abs(state.question.coefficients) * self._scale
        growing = [
            name
            for name, size in zip(self._names, reach, strict=True)
            if size > _DIVERGED and name != INTERCEPT
        ]
        if self._family == "negative-binomial" and state.question.size > 1e6:
            return ("The counts vary no more than a Poisson model says; fit that one.",)
        if growing and self._family != "gaussian":
            named = ", ".join(growing)
            return (f"Separation: {named} predicts the outcome without exception; {SEPARATION_ADVICE}",)
        return (f"No convergence within {self._options.rounds} rounds; do not read these numbers.",)

    def _result(self, state: _State, has_converged: bool, notes: tuple[str, ...]) -> FittedModel:
        step, width = state.step, len(self._names)
        freedom, dispersion = math.inf, 1.0
        likelihood = float(step.rest[0])
        if self._family == "gaussian":
            freedom = float(step.n - width)
            dispersion = -2 * likelihood / freedom if freedom > 0 else math.nan
            spread = -2 * likelihood / max(step.n, 1)
            likelihood = -0.5 * step.n * (math.log(2 * math.pi * spread) + 1) if spread > 0 else math.nan
        elif self._family == "negative-binomial":
            dispersion = 1 / state.question.size
        covariance = np.full((width, width), np.nan)
        if has_converged:
            bread = _solve(self._information(step), np.eye(width))
            covariance = self._covariance(state, bread, dispersion)
        return FittedModel(
            self._family,
            self._names,
            np.array(state.question.coefficients) if has_converged else np.full(width, np.nan),
            covariance,
            step.n,
            step.positive,
            step.left_out,
            likelihood,
            dispersion,
            freedom if self._options.variance == "model" else math.inf,
            state.rounds,
            has_converged,
            notes,
            self._options.level,
        )

    def _covariance(
        self, state: _State, bread: NDArray[np.float64], dispersion: float
    ) -> NDArray[np.float64]:
        width = len(self._names)
        if self._options.variance == "model":
            unpenalised = unfold(state.step.information, width)
            scale = dispersion if self._family == "gaussian" else 1.0
            return np.asarray(scale * bread @ unpenalised @ bread, dtype=np.float64)
        if not isinstance(self._sites, RobustSites):
            raise ValueError("this model has no robust variance; ask for the model's own")
        by_cluster = self._options.variance == "clustered"
        meat = self._sites.ask_meat(state.question, by_cluster=by_cluster)
        state.rounds += 1
        if self._family == "cox":
            factor = 1.0  # as survival packages do: Lin and Wei's variance has no correction for few clusters
        elif by_cluster:
            groups = meat.clusters
            factor = groups / (groups - 1) * (meat.n - 1) / (meat.n - width)
        else:
            factor = meat.n / (meat.n - width) if self._family == "gaussian" else 1.0
        return np.asarray(factor * bread @ unfold(meat.products, width) @ bread, dtype=np.float64)


def _solve(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve after scaling to a unit diagonal, so that units of the columns cost no digits."""
    scale = np.sqrt(np.maximum(np.diag(matrix), 1e-300))
    scaled = matrix / np.outer(scale, scale)
    shaped = right / (scale if right.ndim == 1 else scale[:, None])
    try:
        found = np.linalg.solve(scaled, shaped)
    except np.linalg.LinAlgError:
        found = np.linalg.pinv(scaled) @ shaped
    return np.asarray(found / (scale if right.ndim == 1 else scale[:, None]), dtype=np.float64)


class SitesInProcess:
    """All sites in one process, each with its own design: for pooled fits, tests and analyses on one machine."""

    def __init__(self, designs: Sequence[Design]) -> None:
        self._designs = designs

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask every site and add the answers."""
        return ModelStep.merge(compute_step(design, question) for design in self._designs)

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:
        """Ask every site and add the answers."""
        return Meat.merge(compute_meat(design, question, by_cluster=by_cluster) for design in self._designs)
