"""Count, sum and sum of squares, exact, as the one unit from which mean and SD follow."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from racoon.science.statistics.exact import ZERO, Dyadic, exact_sums, ratio, square_root


@dataclass(frozen=True)
class Moments:
    """Exact ``(n, sum, sum of squares)`` of some values.

    Merging is associative, commutative and bit-identical for any order and split of the values.

    Parameters
    ----------
    n
        Number of values.
    sum
        Exact sum, in the values' unit.
    sum_of_squares
        Exact sum of squares, in the unit squared.
    """

    n: int = 0
    sum: Dyadic = ZERO
    sum_of_squares: Dyadic = ZERO

    def __post_init__(self) -> None:
        if self.n < 0 or self.sum_of_squares.is_negative:
            raise ValueError("a count and a sum of squares can't be negative")
        if self.n == 0 and (self.sum != ZERO or self.sum_of_squares != ZERO):
            raise ValueError("no values have no sum")
        if self._scaled_variance()[0] < 0:
            raise ValueError("no real values have this count, sum and sum of squares")

    @classmethod
    def of(cls, values: ArrayLike) -> Moments:
        """Take finite values exactly.

        Raises
        ------
        ValueError
            If a value is NaN or infinite: missing values are counted elsewhere, never added.
        """
        return cls(*exact_sums(values))

    @classmethod
    def merge(cls, parts: Iterable[Moments]) -> Moments:
        """Add any number of parts, in any order."""
        merged = cls()
        for part in parts:
            merged = merged + part
        return merged

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.n + other.n, self.sum + other.sum, self.sum_of_squares + other.sum_of_squares)

    @property
    def mean(self) -> float:
        """Arithmetic mean, correctly rounded; NaN without values."""
        return ratio(self.sum.mantissa, self.n, self.sum.exponent) if self.n else math.nan

    @property
    def sd(self) -> float:
        """Standard deviation with n - 1; NaN below two values."""
        if self.n < 2:
            return math.nan
        numerator, exponent = self._scaled_variance()
        return square_root(numerator, self.n * (self.n - 1), exponent)

    @property
    def variance(self) -> float:
        """Variance with n - 1, from exact integers, so nothing cancels; NaN below two values."""
        if self.n < 2:
            return math.nan
        numerator, exponent = self._scaled_variance()
        return ratio(numerator, self.n * (self.n - 1), exponent)

    @property
    def standard_error(self) -> float:
        """Standard error of the mean, ``sd / √n``; NaN below two values."""
        return self.sd / math.sqrt(self.n) if self.n > 1 else math.nan

    def _scaled_variance(self) -> tuple[int, int]:
        """Return ``n·Σx² - (Σx)²`` as integer and power of two."""
        low = min(self.sum_of_squares.exponent, 2 * self.sum.exponent)
        squares = self.n * (self.sum_of_squares.mantissa << (self.sum_of_squares.exponent - low))
        return squares - (self.sum.mantissa**2 << (2 * self.sum.exponent - low)), low

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; exact numbers as text, because JSON numbers end at 2**53."""
        return {"n": self.n, "sum": str(self.sum), "sum_of_squares": str(self.sum_of_squares)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Moments:
        """Read the JSON form.

        Raises
        ------
        ValueError
            If no real values could have these moments.
        """
        return cls(
            int(document["n"]),
            Dyadic.from_text(document["sum"]),
            Dyadic.from_text(document["sum_of_squares"]),
        )
