"""Linear mixed model with a random intercept per site, from one exact answer per site.

The sums and products of a site's columns are sufficient: the fit equals that of the pooled rows with a site column.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from racoon.science.statistics.estimate import Estimate, p_of_z, z_of
from racoon.science.statistics.regression.design import INTERCEPT
from racoon.science.statistics.sums import CrossProducts

Likelihood = Literal["reml", "ml"]


@dataclass(frozen=True)
class MixedFit:
    """A fitted mixed model.

    Parameters
    ----------
    names
        Intercept first.
    coefficients, covariance
        Fixed effects, shapes (columns,) and (columns, columns).
    between, within
        Variance between sites and residual variance.
    log_likelihood
        Of the method that was asked for.
    n
        Rows.
    site_effects
        By site: predicted deviation of its intercept, shrunk towards 0.
    notes
        In words, what speaks against the fit.
    """

    names: tuple[str, ...]
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    between: float
    within: float
    log_likelihood: float
    n: int
    site_effects: Mapping[str, float]
    notes: tuple[str, ...] = ()

    @property
    def intraclass_correlation(self) -> float:
        """Share of the variance that lies between sites."""
        return self.between / (self.between + self.within)

    def estimate(self, name: str, *, level: float = 0.95) -> Estimate:
        """Fixed effect with its normal interval."""
        place = self.names.index(name)
        value, error = float(self.coefficients[place]), math.sqrt(float(self.covariance[place, place]))
        reach = z_of(level) * error
        return Estimate(value, value - reach, value + reach, self.n)

    def p_value(self, name: str) -> float:
        """Two-sided Wald p value."""
        place = self.names.index(name)
        return p_of_z(float(self.coefficients[place]) / math.sqrt(float(self.covariance[place, place])))


@dataclass(frozen=True)
class _Sums:
    """Sums of a site over columns shifted to the pooled means, constant first; the outcome is last."""

    n: int
    first: NDArray[np.float64]
    second: NDArray[np.float64]


def fit_mixed(sites: Mapping[str, CrossProducts], *, likelihood: Likelihood = "reml") -> MixedFit:
    """Fit a random intercept per site.

    Parameters
    ----------
    sites
        By site: cross products of the covariates and, as the last column, the outcome.
    likelihood
        Restricted or full.

    Notes
    -----
    Laird, Ware 1982, doi:10.2307/2529876.  Given the ratio of both variances everything is least squares on the
    sums; the ratio is found in one dimension.

    Raises
    ------
    ValueError
        With fewer than two sites, too few rows, or columns that depend on each other.
    """
    if len(sites) < 2:
        raise ValueError("a random intercept needs at least two sites")
    names = next(iter(sites.values())).names
    if any(part.names != names for part in sites.values()):
        raise ValueError("all sites must answer about the same columns")
    order = sorted(site for site in sites if sites[site].n)
    total = CrossProducts.merge(sites[site] for site in order)
    width = len(names)  # covariates, and the constant instead of the outcome
    if total.n <= width + 1:
        raise ValueError("too few rows for so many columns")
    means = [total.sum_of(place) / total.n for place in range(width)]
    parts = [_shifted(sites[site], means) for site in order]
    _refuse_dependent(parts, (INTERCEPT, *names[:-1]))

    def loss(log_ratio: float) -> float:
        return -_profile(parts, math.exp(log_ratio), likelihood)[0]

    grid = np.linspace(-16.0, 12.0, 57)
    best = int(np.argmin([loss(value) for value in grid]))
    low, high = grid[max(best - 1, 0)], grid[min(best + 1, grid.size - 1)]
    found = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-12})
    ratio = math.exp(float(found.x))
    notes: tuple[str, ...] = ()
    if -_profile(parts, 0.0, likelihood)[0] <= float(found.fun) + 1e-9:
        ratio, notes = (
            0.0,
            ("The sites do not differ more than chance says; their variance is estimated as 0.",),
        )
    reached, beta, inverse, within = _profile(parts, ratio, likelihood)
    # Back from shifted columns: the intercept at 0 instead of at the means.
    back = np.eye(width)
    back[0, 1:] = [-float(mean) for mean in means[:-1]]
    coefficients = back @ beta
    coefficients[0] += float(means[-1])
    effects = {
        site: float(ratio / (1 + part.n * ratio) * (part.first[-1] - part.first[:-1] @ beta))
        for site, part in zip(order, parts, strict=True)
    }
    return MixedFit(
        (INTERCEPT, *names[:-1]),
        coefficients,
        np.asarray(back @ (inverse * within) @ back.T, dtype=np.float64),
        ratio * within,
        within,
        reached,
        total.n,
        effects,
        notes,
    )


def _shifted(products: CrossProducts, means: list[Fraction]) -> _Sums:
    """Shift a site's sums exactly, then round once."""
    n, width = products.n, len(means)
    sums = [products.sum_of(place) - n * means[place] for place in range(width)]
    matrix = np.zeros((width + 1, width + 1))
    matrix[0, 0] = n
    for i in range(width):
        matrix[0, i + 1] = matrix[i + 1, 0] = float(sums[i])
        for j in range(i, width):
            value = (
                products.product(i, j)
                - means[i] * products.sum_of(j)
                - means[j] * products.sum_of(i)
                + n * means[i] * means[j]
            )
            matrix[i + 1, j + 1] = matrix[j + 1, i + 1] = float(value)
    return _Sums(n, matrix[0].copy(), matrix)


def _refuse_dependent(parts: list[_Sums], names: tuple[str, ...]) -> None:
    gram = np.asarray(sum(part.second for part in parts))[:-1, :-1]
    scale = np.sqrt(np.diag(gram))
    if empty := [name for name, value in zip(names, scale, strict=True) if value <= 0]:
        raise ValueError(f"these columns do not vary: {', '.join(empty)}")
    values, vectors = np.linalg.eigh(gram / np.outer(scale, scale))
    if values[0] < 1e-11:
        found = [name for name, part in zip(names, np.abs(vectors[:, 0]), strict=True) if part > 0.05]
        raise ValueError(f"linearly dependent, leave one of them out: {', '.join(found)}")


def _profile(
    parts: list[_Sums], ratio: float, likelihood: Likelihood
) -> tuple[float, NDArray[np.float64], NDArray[np.float64], float]:
    """Log-likelihood at the best fixed effects and residual variance for a ratio; with those."""
    total = np.zeros_like(parts[0].second)
    log_determinant, n = 0.0, 0
    for part in parts:
        total += part.second - ratio / (1 + part.n * ratio) * np.outer(part.first, part.first)
        log_determinant += math.log1p(part.n * ratio)
        n += part.n
    gram, right = total[:-1, :-1], total[:-1, -1]
    inverse = np.linalg.inv(gram)
    beta = inverse @ right
    residual = max(float(total[-1, -1] - right @ beta), 1e-300)
    freedom = n - gram.shape[0] if likelihood == "reml" else n
    within = residual / freedom
    value = -0.5 * (freedom * (math.log(2 * math.pi * within) + 1) + log_determinant)
    if likelihood == "reml":
        value -= 0.5 * float(np.linalg.slogdet(gram)[1])
    return value, np.asarray(beta), np.asarray(inverse), within
