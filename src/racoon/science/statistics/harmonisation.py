"""ComBat across sites: shifts and scales of each site's measurements, estimated from one exact answer per site.

A site sends cross products of covariates and features; CENTRAL works out everything and sends back what the site
needs to harmonise its own rows, which never leave it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.sums import CrossProducts


@dataclass(frozen=True)
class SiteCorrection:
    """What one site needs to harmonise its rows, and how much that changes.

    Parameters
    ----------
    shift, scale
        Site effect per feature after shrinkage: location in pooled SD and variance ratio, shape (features,).
    raw_shift, raw_scale
        The same before shrinkage.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    raw_shift: NDArray[np.float64]
    raw_scale: NDArray[np.float64]


@dataclass(frozen=True)
class Change:
    """What harmonisation does to one feature at one site, in the feature's unit.

    Parameters
    ----------
    site, feature
        Which.
    mean_before, mean_after, sd_before, sd_after
        Of the site's rows.
    shift, sd_factor
        What is added, and the factor of the deviations that covariates do not explain.
    """

    site: str
    feature: str
    mean_before: float
    mean_after: float
    sd_before: float
    sd_after: float
    shift: float
    sd_factor: float


@dataclass(frozen=True)
class Harmonisation:
    """Fitted ComBat model.

    Parameters
    ----------
    covariates, features
        Names.
    slopes
        Effect of each covariate, kept in the data, shape (covariates, features).
    level
        Mean over all rows without covariates, shape (features,).
    spread
        Pooled residual SD, shape (features,).
    corrections
        By site.
    """

    covariates: tuple[str, ...]
    features: tuple[str, ...]
    slopes: NDArray[np.float64]
    level: NDArray[np.float64]
    spread: NDArray[np.float64]
    corrections: Mapping[str, SiteCorrection]

    def apply(self, site: str, covariates: ArrayLike, features: ArrayLike) -> NDArray[np.float64]:
        """Harmonise the rows of a site.

        Parameters
        ----------
        site
            One of the sites of the fit.
        covariates, features
            Shapes (rows, covariates) and (rows, features).

        Returns
        -------
        ndarray
            Shape (rows, features), in the features' units.
        """
        known = self.corrections[site]
        kept = self.level + np.asarray(covariates, dtype=np.float64) @ self.slopes
        standard = (np.asarray(features, dtype=np.float64) - kept) / self.spread
        corrected = (standard - known.shift) / np.sqrt(known.scale)
        return np.asarray(corrected * self.spread + kept, dtype=np.float64)

    def numbers(self, site: str) -> tuple[float, ...]:
        """Return what a site needs to harmonise its own rows, as :func:`harmonise` takes it."""
        known = self.corrections[site]
        rows = np.vstack([self.slopes, self.level, self.spread, known.shift, known.scale])
        return tuple(float(value) for value in rows.ravel())

    def report(self) -> tuple[dict[str, float | str], ...]:
        """Say what changes: per site and feature the shift in the feature's unit and the factor of its SD."""
        return tuple(
            {
                "site": site,
                "feature": feature,
                "shift": float(-known.shift[place] * self.spread[place]),
                "sd_factor": float(1 / math.sqrt(known.scale[place])),
            }
            for site, known in sorted(self.corrections.items())
            for place, feature in enumerate(self.features)
        )

    def changes(self, sites: Mapping[str, CrossProducts]) -> tuple[Change, ...]:
        """Say what harmonisation does to each site's mean and SD; the sums of the fit tell it all."""
        found = []
        for site, known in sorted(self.corrections.items()):
            products = sites[site]
            names = list(products.names)
            others = [names.index(name) for name in self.covariates]
            wanted = [names.index(name) for name in self.features]
            means = products.means
            inner, cross = (
                _scatter(products)[np.ix_(others, others)],
                _scatter(products)[np.ix_(others, wanted)],
            )
            own = np.diag(_scatter(products))[wanted]
            explained = (self.slopes * (inner @ self.slopes)).sum(axis=0)
            shared = (self.slopes * cross).sum(axis=0)
            kept = self.level + means[others] @ self.slopes
            factor = 1 / np.sqrt(known.scale)
            after = (means[wanted] - kept - known.shift * self.spread) * factor + kept
            # A harmonised value is its factor times the own residual plus what the covariates explain.
            rest = own - 2 * shared + explained
            squares = factor**2 * rest + 2 * factor * (shared - explained) + explained
            for place, feature in enumerate(self.features):
                found.append(
                    Change(
                        site,
                        feature,
                        float(means[wanted[place]]),
                        float(after[place]),
                        math.sqrt(float(own[place]) / (products.n - 1)),
                        math.sqrt(max(float(squares[place]), 0.0) / (products.n - 1)),
                        float(-known.shift[place] * self.spread[place]),
                        float(factor[place]),
                    )
                )
        return tuple(found)

    def spread_of_means(self, changes: Sequence[Change]) -> tuple[tuple[str, float, float], ...]:
        """SD of the sites' means before and after, per feature."""
        found = []
        for feature in self.features:
            own = [change for change in changes if change.feature == feature]
            before, after = (
                [getattr(change, key) for change in own] for key in ("mean_before", "mean_after")
            )
            found.append((feature, float(np.std(before, ddof=1)), float(np.std(after, ddof=1))))
        return tuple(found)


def numbers_width(covariates: int, features: int) -> int:
    """Count the numbers that a site needs."""
    return (covariates + 4) * features


def harmonise(numbers: Sequence[float], covariates: ArrayLike, features: ArrayLike) -> NDArray[np.float64]:
    """Harmonise rows with what CENTRAL worked out for their site.

    Parameters
    ----------
    numbers
        From :meth:`Harmonisation.numbers`.
    covariates, features
        Shapes (rows, covariates) and (rows, features).

    Returns
    -------
    ndarray
        Shape (rows, features), in the features' units.

    Raises
    ------
    ValueError
        If the numbers are not those of as many columns, or make no sense.
    """
    x, y = np.asarray(covariates, dtype=np.float64), np.asarray(features, dtype=np.float64)
    known = np.asarray(numbers, dtype=np.float64)
    if known.size != numbers_width(x.shape[1], y.shape[1]) or not np.isfinite(known).all():
        raise ValueError("a harmonisation has the same numbers for each feature")
    *slopes, level, spread, shift, scale = known.reshape(-1, y.shape[1])
    if (spread <= 0).any() or (scale <= 0).any():
        raise ValueError("a harmonisation has positive spreads and scales")
    correction = SiteCorrection(shift, scale, shift, scale)
    matrix = np.array(slopes).reshape(x.shape[1], y.shape[1])
    fitted = Harmonisation((), (), matrix, level, spread, {"": correction})
    return fitted.apply("", x, y)


def fit_combat(
    sites: Mapping[str, CrossProducts], features: Sequence[str], *, tolerance: float = 1e-4
) -> Harmonisation:
    """Estimate site effects by empirical Bayes.

    Parameters
    ----------
    sites
        By site: cross products of all covariates and features of its rows.
    features
        Which columns are features; the others are covariates whose effect is kept.
    tolerance
        Largest relative change of the last iteration; the reference implementation's by default.

    Notes
    -----
    Johnson, Li, Rabinovic 2007, doi:10.1093/biostatistics/kxj037; for imaging Fortin and others 2017,
    doi:10.1016/j.neuroimage.2017.08.047; that sums suffice: Chen and others 2022, doi:10.1002/hbm.25932.

    Raises
    ------
    ValueError
        With fewer than two sites or features, fewer than three rows at a site, or a feature without variation.
    """
    if len(sites) < 2 or len(features) < 2:
        raise ValueError("harmonisation needs at least two sites and two features")
    names = next(iter(sites.values())).names
    if any(part.names != names for part in sites.values()) or not set(features) <= set(names):
        raise ValueError("all sites must answer about the same columns")
    if any(part.n < 3 for part in sites.values()):
        raise ValueError("harmonisation needs at least three rows per site")
    wanted = [names.index(feature) for feature in features]
    others = [place for place in range(len(names)) if place not in wanted]
    order = sorted(sites)
    counts = np.array([sites[site].n for site in order], dtype=np.float64)
    means = np.array([sites[site].means for site in order])
    scatter = np.array([_scatter(sites[site]) for site in order])

    within = scatter.sum(axis=0)
    slopes = np.zeros((len(others), len(wanted)))
    if others:
        slopes = np.linalg.solve(within[np.ix_(others, others)], within[np.ix_(others, wanted)])
    intercepts = means[:, wanted] - means[:, others] @ slopes
    level = counts @ intercepts / counts.sum()
    residual = np.array([_residual(part, others, wanted, slopes) for part in scatter])
    variance = residual.sum(axis=0) / counts.sum()
    if (variance <= 0).any():
        raise ValueError("a feature has no variation")
    spread = np.sqrt(variance)
    corrections = {}
    for place, site in enumerate(order):
        shift = (intercepts[place] - level) / spread
        scale = residual[place] / variance / (counts[place] - 1)
        corrections[site] = _shrink(shift, scale, float(counts[place]), tolerance)
    return Harmonisation(
        tuple(names[place] for place in others),
        tuple(features),
        slopes,
        np.asarray(level, dtype=np.float64),
        spread,
        corrections,
    )


def _scatter(products: CrossProducts) -> NDArray[np.float64]:
    width = len(products.names)
    return np.array([[float(products.scatter(i, j)) for j in range(width)] for i in range(width)])


def _residual(
    scatter: NDArray[np.float64], others: list[int], wanted: list[int], slopes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Squared residuals of a site around its own mean, per feature."""
    own = np.diag(scatter)[wanted]
    cross, inner = scatter[np.ix_(others, wanted)], scatter[np.ix_(others, others)]
    return np.asarray(own - 2 * (slopes * cross).sum(axis=0) + (slopes * (inner @ slopes)).sum(axis=0))


def _shrink(
    shift: NDArray[np.float64], scale: NDArray[np.float64], n: float, tolerance: float
) -> SiteCorrection:
    """Shrink a site's effects towards their mean over the features."""
    centre, between = float(shift.mean()), float(shift.var(ddof=1))
    mean, variance = float(scale.mean()), float(scale.var(ddof=1))
    if between == 0 or variance == 0:
        return SiteCorrection(shift, scale, shift, scale)
    a = (2 * variance + mean**2) / variance
    b = (mean * variance + mean**3) / variance
    new_shift, new_scale = shift.copy(), scale.copy()
    change = math.inf
    while change > tolerance:
        following = (n * between * shift + new_scale * centre) / (n * between + new_scale)
        squares = (n - 1) * scale + n * (shift - following) ** 2
        wider = (0.5 * squares + b) / (n / 2 + a - 1)
        change = max(
            float(np.max(np.abs(following - new_shift) / np.abs(new_shift))),
            float(np.max(np.abs(wider - new_scale) / new_scale)),
        )
        new_shift, new_scale = following, wider
    return SiteCorrection(new_shift, new_scale, shift, scale)
