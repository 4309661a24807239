"""Tests that need nothing but protected sums, bins and tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from racoon.science.statistics.estimate import Estimate, Outcome, p_of_chi_square, p_of_t, p_of_z
from racoon.science.statistics.histogram import Histogram
from racoon.science.statistics.moments import Moments

SMALL_EXPECTATION = 5.0
"""Cochran's rule: below this expected count the chi-square distribution fits badly."""


def t_test(first: Moments, second: Moments, *, equal_variances: bool = False, level: float = 0.95) -> Outcome:
    """Compare two means, by default with Welch's degrees of freedom.

    Parameters
    ----------
    first, second
        Exact moments of both groups.
    equal_variances
        Student's test with one pooled variance.
    level
        Confidence level of the difference first - second.
    """
    if min(first.n, second.n) < 2:
        raise ValueError("a t test needs two values in each group")
    difference = first.mean - second.mean
    one, two = first.variance / first.n, second.variance / second.n
    if equal_variances:
        freedom = float(first.n + second.n - 2)
        pooled = ((first.n - 1) * first.variance + (second.n - 1) * second.variance) / freedom
        error = math.sqrt(pooled * (1 / first.n + 1 / second.n))
    else:
        bottom = one**2 / (first.n - 1) + two**2 / (second.n - 1)
        freedom = (one + two) ** 2 / bottom if bottom > 0 else math.nan
        error = math.sqrt(one + two)
    name = "Student's t test" if equal_variances else "Welch's t test"
    return _t_outcome(name, difference, error, freedom, first.n + second.n, level)


def paired_t_test(differences: Moments, *, level: float = 0.95) -> Outcome:
    """Test whether the mean of differences within subjects is 0."""
    if differences.n < 2:
        raise ValueError("a paired t test needs two pairs")
    return _t_outcome(
        "paired t test",
        differences.mean,
        differences.standard_error,
        float(differences.n - 1),
        differences.n,
        level,
    )


def _t_outcome(name: str, difference: float, error: float, freedom: float, n: int, level: float) -> Outcome:
    if error == 0:
        return Outcome(
            name, math.nan, freedom, math.nan, Estimate.undefined(n), ("All values of a group are equal.",)
        )
    reach = float(special.stdtrit(freedom, (1 + level) / 2)) * error
    statistic = difference / error
    effect = Estimate(difference, difference - reach, difference + reach, n)
    return Outcome(name, statistic, freedom, p_of_t(statistic, freedom), effect)


@dataclass(frozen=True)
class RankTest:
    """Mann–Whitney test from bins: the numbers for binned values, and what the exact values can be.

    Parameters
    ----------
    u, u_low, u_high
        Statistic of the first group with values of one bin as ties, and its smallest and largest possible value.
    p, p_low, p_high
        Two-sided p value with tie correction, and bounds for the p value of the exact values.
    superiority
        Chance that a value of the first group is larger (ties half), with its bounds: the AUC.
    """

    u: float
    u_low: float
    u_high: float
    p: float
    p_low: float
    p_high: float
    superiority: Estimate


def mann_whitney(first: Histogram, second: Histogram) -> RankTest:
    """Compare two groups by rank, knowing only how many values lie in each bin.

    Parameters
    ----------
    first, second
        Complete histograms over the same bins.

    Notes
    -----
    Pairs in different bins are ordered; a pair in one bin may go either way, which bounds the statistic.  Ties
    among the exact values are a part of the ties among bins, which bounds the variance too (normal approximation
    with continuity correction).

    Raises
    ------
    ValueError
        If bins differ, a cell was held back, or a group is empty.
    """
    if first.bins != second.bins or not (first.is_complete and second.is_complete):
        raise ValueError("a rank test needs the same bins and every cell in both groups")
    a = np.array([cell or 0 for cell in first.cells], dtype=np.int64)
    b = np.array([cell or 0 for cell in second.cells], dtype=np.int64)
    n, m = int(a.sum()), int(b.sum())
    if n == 0 or m == 0:
        raise ValueError("a rank test needs values in both groups")
    below = np.concatenate([[0], np.cumsum(b)[:-1]])
    low, same = int(a @ below), int(a @ b)
    u, centre, total = low + same / 2, n * m / 2, n + m
    ties = int(((a + b) ** 3 - (a + b)).sum())
    largest = n * m * (total + 1) / 12
    smallest = n * m / 12 * ((total + 1) - ties / (total * (total - 1))) if total > 1 else 0.0
    nearest = 0.0 if low <= centre <= low + same else min(abs(low - centre), abs(low + same - centre))
    farthest = max(abs(low - centre), abs(low + same - centre))
    return RankTest(
        u=u,
        u_low=float(low),
        u_high=float(low + same),
        p=_rank_p(abs(u - centre), smallest),
        p_low=_rank_p(farthest, smallest),
        p_high=_rank_p(nearest, largest),
        superiority=Estimate(u / (n * m), low / (n * m), (low + same) / (n * m), total),
    )


def _rank_p(distance: float, variance: float) -> float:
    corrected = max(distance - 0.5, 0.0)
    if variance <= 0:
        # Everything in one bin: nothing is known of the exact values, so their p value may be as small as it likes.
        return 0.0 if corrected > 0 else 1.0
    return min(1.0, p_of_z(corrected / math.sqrt(variance)))


def chi_square(table: ArrayLike, *, continuity_correction: bool = False) -> Outcome:
    """Test whether rows and columns of a table are independent (Pearson).

    Parameters
    ----------
    table
        Counts; rows and columns without any count are left out.
    continuity_correction
        Yates' correction for tables of two by two.
    """
    counts = _without_empty(np.asarray(table, dtype=np.float64))
    if min(counts.shape) < 2:
        raise ValueError("a chi-square test needs two rows and two columns with counts")
    expected = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / counts.sum()
    distance = np.abs(counts - expected)
    freedom = (counts.shape[0] - 1) * (counts.shape[1] - 1)
    if continuity_correction and freedom == 1:
        distance -= np.minimum(0.5, distance)
    statistic = float((distance**2 / expected).sum())
    notes: tuple[str, ...] = ()
    if (expected < SMALL_EXPECTATION).mean() > 0.2 or expected.min() < 1:
        notes = ("Too many cells are expected to hold fewer than 5; use Fisher's exact test.",)
    return Outcome(
        "Pearson's chi-square test",
        statistic,
        float(freedom),
        p_of_chi_square(statistic, freedom),
        None,
        notes,
    )


def _without_empty(
    counts: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if counts.ndim != 2 or (counts < 0).any():
        raise ValueError("a table of counts has two dimensions and nothing below zero")
    return np.asarray(counts[counts.sum(axis=1) > 0][:, counts.sum(axis=0) > 0], dtype=np.float64)


def fisher_exact(table: Sequence[Sequence[int]]) -> Outcome:
    """Test a table of two by two exactly (two-sided: all tables at most as likely as this one).

    Returns
    -------
    Outcome
        Its statistic is the sample odds ratio; infinite where a cell of the other diagonal is 0.
    """
    (a, b), (c, d) = ((int(value) for value in row) for row in table)
    if min(a, b, c, d) < 0:
        raise ValueError("counts can't be negative")
    rows, column, total = a + b, a + c, a + b + c + d
    ways = {
        value: math.comb(rows, value) * math.comb(total - rows, column - value)
        for value in range(max(0, column - (total - rows)), min(rows, column) + 1)
    }
    # Whole numbers: two tables are equally likely exactly when their ways are equal.
    p = float(Fraction(sum(way for way in ways.values() if way <= ways[a]), math.comb(total, column)))
    odds = (a * d) / (b * c) if b * c else math.inf if a * d else math.nan
    return Outcome("Fisher's exact test", odds, math.nan, p)


def mcnemar(only_first: int, only_second: int, *, exact: bool | None = None) -> Outcome:
    """Compare paired proportions by the pairs that differ.

    Parameters
    ----------
    only_first, only_second
        Pairs positive only in the first, only in the second.
    exact
        Binomial instead of chi-square with continuity correction; by default below 25 such pairs.
    """
    pairs = only_first + only_second
    if exact is None:
        exact = pairs < 25
    if pairs == 0:
        return Outcome("McNemar's test", 0.0, math.nan, 1.0, None, ("No pair differs.",))
    if exact:
        fewer = min(only_first, only_second)
        tail = Fraction(sum(math.comb(pairs, k) for k in range(fewer + 1)), 2**pairs)
        return Outcome("exact McNemar test", float(fewer), math.nan, min(1.0, float(2 * tail)))
    statistic = max(abs(only_first - only_second) - 1, 0) ** 2 / pairs
    return Outcome("McNemar's test", statistic, 1.0, p_of_chi_square(statistic, 1))


Correction = Literal["bonferroni", "holm", "hochberg", "benjamini-hochberg", "benjamini-yekutieli"]


def adjust_p_values(p_values: Sequence[float], method: Correction = "holm") -> tuple[float, ...]:
    """Correct p values for their number, in their order.

    Parameters
    ----------
    p_values
        All p values of one family of tests.
    method
        The first three bound the chance of any false positive, the last two the expected share of them.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if ((p < 0) | (p > 1) | np.isnan(p)).any():
        raise ValueError("p values lie between 0 and 1")
    size = p.size
    order = np.argsort(p, kind="stable")
    rank = np.arange(1, size + 1)
    ascending = p[order]
    if method == "bonferroni":
        adjusted = ascending * size
    elif method == "holm":
        adjusted = np.maximum.accumulate(ascending * (size - rank + 1))
    elif method == "hochberg":
        adjusted = np.minimum.accumulate((ascending * (size - rank + 1))[::-1])[::-1]
    else:
        factor = float((1 / rank).sum()) if method == "benjamini-yekutieli" else 1.0
        adjusted = np.minimum.accumulate((ascending * size * factor / rank)[::-1])[::-1]
    back = np.empty(size)
    back[order] = np.minimum(adjusted, 1.0)
    return tuple(float(value) for value in back)
