"""Logistic and Poisson models with a random intercept per site: each site integrates over its own.

The marginal log-likelihood is a sum over the sites, so score and information add up as in any model.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from racoon.science.statistics.exact import ZERO, Dyadic
from racoon.science.statistics.regression.design import Design
from racoon.science.statistics.regression.families import Family
from racoon.science.statistics.regression.fitting import Sites
from racoon.science.statistics.regression.steps import ModelQuestion, ModelStep
from racoon.science.statistics.sums import unfold

SITE_SD = "(SD of the sites)"
START = 0.5
"""Where the search for the SD begins."""

_NODES = 31
_SMALL = 1e-3
"""A site SD below this is none."""

CountFamily = Literal["binomial", "poisson"]


def compute_site_step(design: Design, family: CountFamily, coefficients: tuple[float, ...]) -> ModelStep:
    """Answer one round: this site's marginal log-likelihood with its derivatives.

    Parameters
    ----------
    design
        Rows of this site.
    family
        ``binomial`` or ``poisson``.
    coefficients
        One per column, then the SD of the site intercepts; its sign means nothing.

    Notes
    -----
    Adaptive Gauss–Hermite quadrature around the most likely intercept (Pinheiro, Bates 1995,
    doi:10.1080/10618600.1995.10474663).

    Raises
    ------
    ValueError
        If the coefficients or the outcome do not fit.
    """
    if len(coefficients) != len(design.names) + 1:
        raise ValueError("a question names one coefficient per column and the SD of the sites")
    distribution = Family(family)
    distribution.check(design.outcome)
    order = np.lexsort((design.outcome, *design.columns))  # one order for one set of rows
    x, y = design.columns[:, order], design.outcome[order]
    fixed = design.predictor(coefficients[:-1])[order]
    spread = coefficients[-1]
    mode, width = _mode(distribution, y, fixed, spread)
    nodes, weights = np.polynomial.hermite.hermgauss(_NODES)
    places = mode + math.sqrt(2) * width * nodes
    logs, scores, bends = [], [], []
    for place in places:
        terms = distribution.terms(y, fixed + spread * place, 1.0)
        logs.append(float(terms.log_likelihood.sum()) - 0.5 * place**2)
        total = float(terms.residual.sum())
        scores.append(np.append(x @ terms.residual, place * total))
        inner = np.vstack([x, np.full(y.size, place)])
        bends.append(-(inner * terms.weight) @ inner.T)
    values = np.log(weights) + nodes**2 + np.array(logs)
    likelihood = math.log(width / math.sqrt(math.pi)) + float(special.logsumexp(values))
    chance = np.exp(values - special.logsumexp(values))
    score = chance @ np.array(scores)
    curvature = sum(
        share * (bend + np.outer(own, own)) for share, bend, own in zip(chance, bends, scores, strict=True)
    ) - np.outer(score, score)
    width_all = len(coefficients)
    triangle = -np.asarray(curvature)[np.triu_indices(width_all)]
    return ModelStep(
        (*design.names, SITE_SD),
        design.n,
        int((design.outcome > 0).sum()),
        design.left_out,
        tuple(Dyadic.from_float(float(value)) for value in score),
        tuple(Dyadic.from_float(float(value)) for value in triangle),
        (Dyadic.from_float(likelihood), Dyadic.of(design.n), ZERO, ZERO),
    )


def _mode(
    family: Family, y: NDArray[np.float64], fixed: NDArray[np.float64], spread: float
) -> tuple[float, float]:
    """Most likely standardised intercept of the site, and the width of the peak."""
    place, bend = 0.0, 1.0
    for _ in range(100):
        terms = family.terms(y, fixed + spread * place, 1.0)
        bend = spread**2 * float(terms.weight.sum()) + 1
        change = (spread * float(terms.residual.sum()) - place) / bend
        place += min(max(change, -2.0), 2.0)
        if abs(change) < 1e-12:
            break
    return place, 1 / math.sqrt(bend)


@dataclass(frozen=True)
class SiteModel:
    """A fit with a random intercept per site.

    Parameters
    ----------
    names, coefficients, covariance
        Fixed effects, intercept first.
    site_sd
        SD of the site intercepts on the scale of the predictor.
    log_likelihood, n
        At the estimate, and rows.
    has_converged, notes
        False, with a reason in words, where no number should be read.
    """

    names: tuple[str, ...]
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    site_sd: float
    log_likelihood: float
    n: int
    has_converged: bool
    notes: tuple[str, ...] = ()


def _direction(information: NDArray[np.float64], score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Newton's step on columns scaled to a unit diagonal; curvature of the wrong sign is turned."""
    scale = np.sqrt(np.maximum(np.abs(np.diag(information)), 1e-300))
    values, vectors = np.linalg.eigh(information / np.outer(scale, scale))
    bent = np.maximum(np.abs(values), 1e-9)
    return np.asarray(vectors @ ((vectors.T @ (score / scale)) / bent) / scale)


def fit_site_glm(sites: Sites, family: CountFamily, names: tuple[str, ...], *, rounds: int = 60) -> SiteModel:
    """Maximise the added marginal log-likelihood.

    Parameters
    ----------
    sites
        Who answers, with :func:`compute_site_step`.
    family
        ``binomial`` or ``poisson``.
    names
        Columns of the design, intercept first.
    rounds
        Largest number of rounds.

    Notes
    -----
    Newton's method; where the likelihood bends the wrong way its curvature is turned, and steps that lower it are
    halved.
    """
    every = (*names, SITE_SD)
    place = np.zeros(len(every))
    place[-1] = START

    def ask(values: NDArray[np.float64]) -> ModelStep:
        return sites.ask_step(ModelQuestion(family, every, tuple(map(float, values))))

    step, used, has_converged = ask(place), 1, False
    while used < rounds:
        score = np.array([float(value) for value in step.score])
        direction = _direction(unfold(step.information, len(every)), score)
        direction[-1] = min(max(direction[-1], -1.0), 1.0)
        if abs(float(score @ direction)) < 1e-14 * (1 + abs(float(step.rest[0]))):
            has_converged = True
            break
        before, share = float(step.rest[0]), 1.0
        while used < rounds:
            tried = place + share * direction
            following = ask(tried)
            used += 1
            if float(following.rest[0]) >= before - 1e-10 * (1 + abs(before)):
                place, step = tried, following
                break
            share /= 2
    width = len(names)
    notes: tuple[str, ...] = ()
    is_none = abs(float(place[-1])) < _SMALL
    if is_none:
        notes = ("The sites do not differ more than chance says; their variance is estimated as 0.",)
    information = unfold(step.information, len(every))
    own = information[:width, :width] if is_none else information
    covariance = np.full((width, width), np.nan)
    scale = np.sqrt(np.maximum(np.diag(own), 0))
    if has_converged and (scale <= 0).any():
        has_converged = False
    if has_converged and np.linalg.eigvalsh(own / np.outer(scale, scale))[0] > 1e-11:
        covariance = np.linalg.inv(own)[:width, :width]
    elif has_converged:
        has_converged = False
        notes = ("The columns depend on each other, or one predicts the outcome without exception.",)
    if not has_converged and not notes:
        notes = (f"No convergence within {rounds} rounds; do not read these numbers.",)
    return SiteModel(
        names,
        place[:-1] if has_converged else np.full(width, np.nan),
        covariance,
        0.0 if is_none else abs(float(place[-1])),
        float(step.rest[0]),
        step.n,
        has_converged,
        notes,
    )
