"""Agreement of measurements: intraclass and concordance correlation, limits of agreement after Bland and Altman."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from racoon.science.statistics.estimate import Estimate, z_of
from racoon.science.statistics.exact import Dyadic
from racoon.science.statistics.moments import Moments
from racoon.science.statistics.sums import CrossProducts


@dataclass(frozen=True)
class IntraclassCorrelation:
    """All six forms for a table of subjects by readers, and what repeatability follows from it.

    Parameters
    ----------
    one_way, two_way, consistency
        ICC(1,1), ICC(2,1) (random readers, absolute agreement), ICC(3,1) (these readers, consistency).
    one_way_mean, two_way_mean, consistency_mean
        The same for the mean of all readers: ICC(1,k), ICC(2,k), ICC(3,k).
    within_subject_sd
        Root of the mean square within subjects, in the ratings' unit.
    repeatability_coefficient
        ``1.96 · √2 ·`` within-subject SD: two repetitions differ by less in 95 of 100 subjects.
    readers
        Number of readers.
    """

    one_way: Estimate
    two_way: Estimate
    consistency: Estimate
    one_way_mean: Estimate
    two_way_mean: Estimate
    consistency_mean: Estimate
    within_subject_sd: float
    repeatability_coefficient: float
    readers: int


def intraclass_correlation(ratings: CrossProducts, *, level: float = 0.95) -> IntraclassCorrelation:
    """Compute intraclass correlations.

    Parameters
    ----------
    ratings
        Cross products of the matrix (subjects, readers), complete.
    level
        Confidence level.

    Notes
    -----
    Shrout, Fleiss 1979, doi:10.1037/0033-2909.86.2.420; McGraw, Wong 1996, doi:10.1037/1082-989X.1.1.30.
    """
    n, k = ratings.n, len(ratings.names)
    if n < 2 or k < 2:
        raise ValueError("an intraclass correlation needs two subjects and two readers")
    squares = sum((ratings.product(i, i) for i in range(k)), start=ratings.sum_of(0) * 0)
    totals = sum((ratings.product(i, j) for i in range(k) for j in range(k)), start=squares * 0)
    grand = sum((ratings.sum_of(i) for i in range(k)), start=squares * 0)
    correction = grand**2 / (n * k)
    between = totals / k - correction
    readers = sum((ratings.sum_of(i) ** 2 for i in range(k)), start=squares * 0) / n - correction
    within = squares - totals / k
    residual = within - readers
    bms, wms = float(between / (n - 1)), float(within / (n * (k - 1)))
    jms, ems = float(readers / (k - 1)), float(residual / ((n - 1) * (k - 1)))
    tail = (1 - level) / 2

    one = _from_f(bms, wms, (n - 1, n * (k - 1)), tail)
    three = _from_f(bms, ems, (n - 1, (n - 1) * (k - 1)), tail)
    return IntraclassCorrelation(
        one_way=_single(one, k, n),
        two_way=_absolute(bms, jms, ems, n, k, tail),
        consistency=_single(three, k, n),
        one_way_mean=_average(one, n),
        two_way_mean=_spearman_brown(_absolute(bms, jms, ems, n, k, tail), k),
        consistency_mean=_average(three, n),
        within_subject_sd=math.sqrt(wms),
        repeatability_coefficient=1.96 * math.sqrt(2 * wms),
        readers=k,
    )


def _from_f(
    between: float, error: float, freedom: tuple[int, int], tail: float
) -> tuple[float, float, float]:
    """Variance ratio with its limits."""
    ratio = between / error if error > 0 else math.inf if between > 0 else math.nan
    quantile = float(special.fdtri(freedom[0], freedom[1], 1 - tail))
    opposite = float(special.fdtri(freedom[1], freedom[0], 1 - tail))
    return ratio, ratio / quantile, ratio * opposite


def _single(ratios: tuple[float, float, float], k: int, n: int) -> Estimate:
    value, low, high = (1.0 if math.isinf(ratio) else (ratio - 1) / (ratio + k - 1) for ratio in ratios)
    return Estimate(value, low, high, n)


def _average(ratios: tuple[float, float, float], n: int) -> Estimate:
    value, low, high = (
        1.0 if math.isinf(ratio) else 1 - 1 / ratio if ratio else -math.inf for ratio in ratios
    )
    return Estimate(value, low, high, n)


def _absolute(bms: float, jms: float, ems: float, n: int, k: int, tail: float) -> Estimate:
    denominator = bms + (k - 1) * ems + k * (jms - ems) / n
    if denominator <= 0:
        return Estimate.undefined(n)
    value = (bms - ems) / denominator
    if ems == 0 and jms == 0:  # perfect agreement: no variance is left to build limits from
        return Estimate(value, value, value, n)
    # Satterthwaite's degrees of freedom of the mixed error term (Shrout and Fleiss, p. 424).
    a = k * value / (n * (1 - value)) if value < 1 else math.inf
    b = 1 + k * value * (n - 1) / (n * (1 - value)) if value < 1 else math.inf
    top = (a * jms + b * ems) ** 2
    bottom = (a * jms) ** 2 / (k - 1) + (b * ems) ** 2 / ((n - 1) * (k - 1))
    freedom = top / bottom
    lower_f = float(special.fdtri(n - 1, freedom, 1 - tail))
    upper_f = float(special.fdtri(freedom, n - 1, 1 - tail))
    mixed = k * jms + (k * n - k - n) * ems
    low = n * (bms - lower_f * ems) / (lower_f * mixed + n * bms)
    high = n * (upper_f * bms - ems) / (mixed + n * upper_f * bms)
    return Estimate(value, low, high, n)


def _spearman_brown(single: Estimate, k: int) -> Estimate:
    value, low, high = (k * part / (1 + (k - 1) * part) for part in (single.value, single.low, single.high))
    return Estimate(value, low, high, single.n)


def concordance_correlation(pairs: CrossProducts, *, level: float = 0.95) -> Estimate:
    """Compute Lin's concordance correlation coefficient of two methods.

    Parameters
    ----------
    pairs
        Cross products of two columns.
    level
        Confidence level; limits through Fisher's z.

    Notes
    -----
    Lin 1989, doi:10.2307/2532051, with variances divided by n; variance as corrected in 2000,
    doi:10.1111/j.0006-341X.2000.00324.x.
    """
    _need_pairs(pairs)
    n = pairs.n
    if n < 3:
        return Estimate.undefined(n)
    first, second, both = (float(pairs.scatter(i, j) / n) for i, j in ((0, 0), (1, 1), (0, 1)))
    shift = float((pairs.sum_of(0) - pairs.sum_of(1)) / n)
    if first == 0 or second == 0:
        return Estimate.undefined(n)
    value = 2 * both / (first + second + shift**2)
    pearson = both / math.sqrt(first * second)
    if abs(value) >= 1 or pearson == 0:
        return Estimate(
            value, value if abs(value) >= 1 else math.nan, value if abs(value) >= 1 else math.nan, n
        )
    location = shift**2 / math.sqrt(first * second)
    variance = (
        (1 - pearson**2) * value**2 / ((1 - value**2) * pearson**2)
        + 2 * value**3 * (1 - value) * location / (pearson * (1 - value**2) ** 2)
        - value**4 * location**2 / (2 * pearson**2 * (1 - value**2) ** 2)
    ) / (n - 2)
    reach = z_of(level) * math.sqrt(max(variance, 0.0))
    centre = math.atanh(value)
    return Estimate(value, math.tanh(centre - reach), math.tanh(centre + reach), n)


@dataclass(frozen=True)
class LimitsOfAgreement:
    """Differences first - second of two methods, in their unit.

    Parameters
    ----------
    bias, lower, upper
        Mean difference and limits of agreement, each with its confidence interval.
    sd
        Standard deviation of the differences.
    slope
        Slope of the differences on the means of both methods; far from 0 the limits don't fit all sizes.
    n
        Subjects.
    """

    bias: Estimate
    lower: Estimate
    upper: Estimate
    sd: float
    slope: Estimate
    n: int


def bland_altman(pairs: CrossProducts, *, level: float = 0.95) -> LimitsOfAgreement:
    """Compute bias and limits of agreement of two methods.

    Parameters
    ----------
    pairs
        Cross products of two columns.
    level
        Share of differences inside the limits, and confidence level.

    Notes
    -----
    Bland, Altman 1986, doi:10.1016/S0140-6736(86)90837-8; 1999, doi:10.1177/096228029900800204 for the intervals.
    """
    _need_pairs(pairs)
    n = pairs.n
    if n < 3:
        raise ValueError("limits of agreement need at least three subjects")
    bias = float((pairs.sum_of(0) - pairs.sum_of(1)) / n)
    differences = pairs.scatter(0, 0) - 2 * pairs.scatter(0, 1) + pairs.scatter(1, 1)
    sd = math.sqrt(float(differences / (n - 1)))
    z, t = z_of(level), float(special.stdtrit(n - 1, (1 + level) / 2))
    bias_error = sd / math.sqrt(n)
    limit_error = sd * math.sqrt(1 / n + z**2 / (2 * (n - 1)))

    def around(centre: float, error: float) -> Estimate:
        return Estimate(centre, centre - t * error, centre + t * error, n)

    return LimitsOfAgreement(
        bias=around(bias, bias_error),
        lower=around(bias - z * sd, limit_error),
        upper=around(bias + z * sd, limit_error),
        sd=sd,
        slope=_slope(pairs, level),
        n=n,
    )


def _slope(pairs: CrossProducts, level: float) -> Estimate:
    """Regress differences on means; both are linear in the columns, so their scatters follow."""
    first, second, both = pairs.scatter(0, 0), pairs.scatter(1, 1), pairs.scatter(0, 1)
    means, together, differences = (
        (first + 2 * both + second) / 4,
        (first - second) / 2,
        first - 2 * both + second,
    )
    if means == 0:
        return Estimate.undefined(pairs.n)
    slope = together / means
    residual = max(float(differences - slope * together), 0.0)
    error = math.sqrt(residual / (pairs.n - 2) / float(means))
    reach = float(special.stdtrit(pairs.n - 2, (1 + level) / 2)) * error
    return Estimate(float(slope), float(slope) - reach, float(slope) + reach, pairs.n)


def paired(first: ArrayLike, second: ArrayLike) -> CrossProducts:
    """Reduce two columns of the same subjects to what the measures above need.

    Parameters
    ----------
    first, second
        Finite numbers of the same length and unit.
    """
    return CrossProducts.of(("first", "second"), np.column_stack([first, second]))


def paired_from_moments(first: Moments, second: Moments, difference: Moments) -> CrossProducts:
    """Put together what the measures above need from three sums that a site may release.

    Parameters
    ----------
    first, second
        Moments of the two columns, over the same subjects.
    difference
        Moments of first - second, over the same subjects.

    Raises
    ------
    ValueError
        If the three cannot come from the same subjects.

    Notes
    -----
    Σab = (Σa² + Σb² - Σ(a - b)²) / 2.
    """
    if not first.n == second.n == difference.n:
        raise ValueError("the columns and their difference have other numbers of subjects")
    minus = difference.sum_of_squares
    doubled = first.sum_of_squares + second.sum_of_squares + Dyadic.of(-minus.mantissa, minus.exponent)
    shared = Dyadic.of(doubled.mantissa, doubled.exponent - 1)
    spread = float(difference.sd) if difference.n > 1 else 0.0
    if abs(first.mean - second.mean - difference.mean) > 1e-6 * (spread + abs(first.mean) + abs(second.mean)):
        raise ValueError("the difference of the means is not the mean of the differences")
    return CrossProducts(
        ("first", "second"),
        first.n,
        (first.sum, second.sum),
        (first.sum_of_squares, shared, second.sum_of_squares),
    )


def _need_pairs(pairs: CrossProducts) -> None:
    if len(pairs.names) != 2:
        raise ValueError("this measure compares exactly two columns")
