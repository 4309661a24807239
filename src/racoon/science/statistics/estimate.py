"""The two shapes of a result: an estimate with its interval, and the outcome of a test."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special


@dataclass(frozen=True)
class Estimate:
    """A number with its confidence interval; NaN where it is not defined.

    Parameters
    ----------
    value, low, high
        Estimate and limits.
    n
        Subjects behind it.
    """

    value: float
    low: float
    high: float
    n: int

    @classmethod
    def undefined(cls, n: int) -> Estimate:
        """Make one that says nothing."""
        return cls(math.nan, math.nan, math.nan, n)


@dataclass(frozen=True)
class Outcome:
    """What a test found.

    Parameters
    ----------
    name
        Name of the test as one would print it.
    statistic
        Value of the test's statistic.
    freedom
        Degrees of freedom; NaN where the test has none.
    p
        Two-sided p value.
    effect
        What the test is about (a difference, a ratio), where there is such a number.
    notes
        Why the number should be read with care; empty when nothing speaks against it.
    """

    name: str
    statistic: float
    freedom: float
    p: float
    effect: Estimate | None = None
    notes: tuple[str, ...] = ()


def z_of(level: float) -> float:
    """Normal quantile of a two-sided confidence level.

    Raises
    ------
    ValueError
        If the level does not lie between 0 and 1.
    """
    if not 0 < level < 1:
        raise ValueError("a confidence level lies between 0 and 1")
    return float(special.ndtri((1 + level) / 2))


def p_of_z(statistic: float) -> float:
    """Two-sided p value of a normal statistic."""
    return float(2 * special.ndtr(-abs(statistic)))


def p_of_t(statistic: float, freedom: float) -> float:
    """Two-sided p value of a t statistic."""
    return float(2 * special.stdtr(freedom, -abs(statistic)))


def p_of_chi_square(statistic: float, freedom: float) -> float:
    """Upper tail of the chi-square distribution."""
    return float(special.chdtrc(freedom, statistic))
