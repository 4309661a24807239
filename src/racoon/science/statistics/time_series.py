"""Interrupted time series: whether level or slope changed when something happened to everybody at once.

Sites give counts or sums per period; CENTRAL adds them and fits one segmented regression with autocorrelated errors.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import linalg, optimize, special

from racoon.science.statistics.estimate import Estimate, p_of_t

Errors = Literal["autoregressive", "newey-west"]

_FEWEST_PERIODS = 8
"""Below this on either side a slope says nothing."""


@dataclass(frozen=True)
class InterruptedSeries:
    """A segmented regression.

    Parameters
    ----------
    names
        ``level``, ``trend`` per period before, ``level change`` at the interruption, ``trend change`` per period
        after it, then seasonal terms.
    coefficients, standard_errors, p_values
        Shape (terms,).
    freedom
        Degrees of freedom of the t intervals.
    autocorrelation
        Correlation of neighbouring errors.
    level_change, trend_change
        With intervals; on the log scale they are differences of logarithms.
    relative_change
        Level change in percent of what would have been without; its interval holds on the log scale only, else NaN.
    expected, fitted
        Values per period without the interruption and with it, on the scale of the series.
    notes
        Why it should be read with care.
    """

    names: tuple[str, ...]
    coefficients: NDArray[np.float64]
    standard_errors: NDArray[np.float64]
    p_values: NDArray[np.float64]
    freedom: float
    autocorrelation: float
    level_change: Estimate
    trend_change: Estimate
    relative_change: Estimate
    expected: NDArray[np.float64]
    fitted: NDArray[np.float64]
    notes: tuple[str, ...] = ()


def segmented_design(
    periods: int, interruption: int, *, season: int | None = None, harmonics: int = 1
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Build the columns of a segmented regression.

    Parameters
    ----------
    periods
        Length of the series.
    interruption
        First period after the interruption.
    season
        Periods per year, for seasonal terms.
    harmonics
        Pairs of sine and cosine per year.

    Returns
    -------
    tuple
        Names and columns, shape (periods, terms).
    """
    time = np.arange(periods, dtype=np.float64)
    after = (time >= interruption).astype(np.float64)
    names = ["level", "trend", "level change", "trend change"]
    columns = [np.ones(periods), time, after, after * (time - interruption)]
    for order in range(1, harmonics + 1) if season else ():
        angle = 2 * np.pi * order * time / (season or 1)
        names += [f"season sine {order}", f"season cosine {order}"]
        columns += [np.sin(angle), np.cos(angle)]
    return tuple(names), np.column_stack(columns)


def interrupted_time_series(
    values: ArrayLike,
    interruption: int,
    *,
    log_scale: bool = False,
    season: int | None = None,
    harmonics: int = 1,
    errors: Errors = "autoregressive",
    lags: int = 3,
    level: float = 0.95,
) -> InterruptedSeries:
    """Fit a segmented regression.

    Parameters
    ----------
    values
        One value per period, no gap; added over the sites.
    interruption
        First period after the interruption.
    log_scale
        Fit the logarithm, so that changes are relative; all values must be positive.
    season, harmonics
        Periods per year and pairs of seasonal terms.
    errors
        ``autoregressive``: generalised least squares, first-order correlation by restricted likelihood.
        ``newey-west``: least squares with a variance that allows correlation up to ``lags`` periods.
    lags
        For ``newey-west``.
    level
        Confidence level.

    Notes
    -----
    Wagner and others 2002, doi:10.1046/j.1365-2710.2002.00430.x; restricted likelihood keeps the intervals honest in
    short series (Cheang, Reinsel 2000, doi:10.1080/01621459.2000.10474260).

    Raises
    ------
    ValueError
        If a period is missing, a logarithm impossible, or too few periods lie on a side.
    """
    series = np.asarray(values, dtype=np.float64)
    if series.ndim != 1 or not np.isfinite(series).all():
        raise ValueError("a time series needs one value in each period")
    if min(interruption, series.size - interruption) < _FEWEST_PERIODS:
        raise ValueError(f"an interrupted time series needs {_FEWEST_PERIODS} periods on either side")
    if log_scale and (series <= 0).any():
        raise ValueError("a logarithm needs positive values in all periods")
    y = np.log(series) if log_scale else series
    names, x = segmented_design(series.size, interruption, season=season, harmonics=harmonics)
    freedom = float(series.size - x.shape[1])
    if errors == "autoregressive":
        rho = _autocorrelation(x, y)
        coefficients, covariance = _generalised(x, y, rho)
    else:
        coefficients, covariance = _newey_west(x, y, lags)
        residual = y - x @ coefficients
        rho = float(residual[1:] @ residual[:-1]) / max(float(residual @ residual), 1e-300)
    error = np.sqrt(np.diag(covariance))
    reach = float(special.stdtrit(freedom, (1 + level) / 2))

    def estimate(place: int) -> Estimate:
        value, width = float(coefficients[place]), reach * float(error[place])
        return Estimate(value, value - width, value + width, series.size)

    without = coefficients.copy()
    without[2:4] = 0
    expected, fitted = x @ without, x @ coefficients
    if log_scale:
        expected, fitted = np.exp(expected), np.exp(fitted)
    return InterruptedSeries(
        names,
        coefficients,
        np.asarray(error, dtype=np.float64),
        np.array([p_of_t(float(b / e), freedom) for b, e in zip(coefficients, error, strict=True)]),
        freedom,
        rho,
        estimate(2),
        estimate(3),
        _relative(estimate(2), float(expected[interruption]), log_scale=log_scale),
        expected,
        fitted,
        ("Strong autocorrelation: the series may drift by itself.",) if rho > 0.8 else (),
    )


def _relative(change: Estimate, expected: float, *, log_scale: bool) -> Estimate:
    if log_scale:
        value, low, high = (100 * math.expm1(part) for part in (change.value, change.low, change.high))
        return Estimate(value, low, high, change.n)
    value = 100 * change.value / expected if expected else math.nan
    return Estimate(value, math.nan, math.nan, change.n)


def _whiten(columns: NDArray[np.float64], rho: float) -> NDArray[np.float64]:
    """Prais and Winsten: differences whose errors are independent, the first row kept."""
    first = columns[:1] * math.sqrt(1 - rho**2)
    return np.concatenate([first, columns[1:] - rho * columns[:-1]])


def _autocorrelation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    n, width = x.shape

    def loss(rho: float) -> float:
        design, outcome = _whiten(x, rho), _whiten(y[:, None], rho)[:, 0]
        q, r = np.linalg.qr(design)
        residual = outcome - q @ (q.T @ outcome)
        spread = max(float(residual @ residual), 1e-300)
        return float(
            (n - width) * math.log(spread)
            + 2 * float(np.log(np.abs(np.diag(r))).sum())
            - math.log(1 - rho**2)
        )

    return float(
        optimize.minimize_scalar(loss, bounds=(-0.95, 0.99), method="bounded", options={"xatol": 1e-9}).x
    )


def _generalised(
    x: NDArray[np.float64], y: NDArray[np.float64], rho: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    design, outcome = _whiten(x, rho), _whiten(y[:, None], rho)[:, 0]
    inverse = linalg.inv(design.T @ design)
    coefficients = inverse @ design.T @ outcome
    residual = outcome - design @ coefficients
    return coefficients, inverse * float(residual @ residual) / (x.shape[0] - x.shape[1])


def _newey_west(
    x: NDArray[np.float64], y: NDArray[np.float64], lags: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    inverse = linalg.inv(x.T @ x)
    coefficients = inverse @ x.T @ y
    scores = x * (y - x @ coefficients)[:, None]
    meat = scores.T @ scores
    for lag in range(1, lags + 1):
        shifted = scores[lag:].T @ scores[:-lag]
        meat += (1 - lag / (lags + 1)) * (shifted + shifted.T)
    n, width = x.shape
    return coefficients, n / (n - width) * inverse @ meat @ inverse


def add_series(parts: Sequence[Sequence[int | None]]) -> tuple[int | None, ...]:
    """Add the sites' counts per period; a period one site held back is unknown.

    Raises
    ------
    ValueError
        Without any part, or with different lengths.
    """
    if not parts or len({len(part) for part in parts}) != 1:
        raise ValueError("series of all sites must have the same periods")
    return tuple(
        None if None in column else sum(count for count in column if count is not None)
        for column in zip(*parts, strict=True)
    )
