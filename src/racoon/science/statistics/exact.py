"""Exact sums of floating-point numbers.

Every finite double is an integer times a power of two, and so is every sum and every product of them.
Keeping that integer makes addition associative: no order, no split, no number of sites changes the last bit.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_HALF_BITS = 27
"""A 53-bit mantissa splits into two parts whose products fit into 64-bit integers."""

_TEXT = re.compile(r"-?[0-9]+p-?[0-9]{1,5}")

_LONGEST_TEXT = 1400
"""The longest sum of squares of doubles has about 1300 decimal digits; more is an attack on memory."""

_BLOCK = 1 << 20
"""Values summed at once in 64-bit integers: 2**20 parts below 2**43 can't overflow."""


@dataclass(frozen=True)
class Dyadic:
    """The number ``mantissa · 2**exponent``, in lowest terms, so equal numbers are equal objects.

    Parameters
    ----------
    mantissa
        Odd integer of any size, or 0.
    exponent
        0 when the mantissa is 0.
    """

    mantissa: int
    exponent: int

    @classmethod
    def of(cls, mantissa: int, exponent: int = 0) -> Dyadic:
        """Bring ``mantissa · 2**exponent`` to lowest terms."""
        if mantissa == 0:
            return cls(0, 0)
        twos = (mantissa & -mantissa).bit_length() - 1
        return cls(mantissa >> twos, exponent + twos)

    @classmethod
    def from_float(cls, value: float) -> Dyadic:
        """Take a finite float exactly.

        Raises
        ------
        ValueError
            For NaN or an infinity.
        """
        if not math.isfinite(value):
            raise ValueError("only finite numbers can be summed; missing values are counted, not added")
        numerator, denominator = value.as_integer_ratio()
        return cls.of(numerator, 1 - denominator.bit_length())

    @classmethod
    def from_text(cls, text: str) -> Dyadic:
        """Read the JSON form ``"<mantissa>p<exponent>"`` (both decimal).

        Raises
        ------
        ValueError
            For anything else, and for numbers longer than any sum of doubles.
        """
        if len(text) > _LONGEST_TEXT or _TEXT.fullmatch(text) is None:
            raise ValueError("an exact number is written as <mantissa>p<exponent>")
        mantissa, _, exponent = text.partition("p")
        found = cls.of(int(mantissa), int(exponent))
        if abs(found.exponent) > 4400:
            raise ValueError("the exponent lies outside what doubles and their squares can reach")
        return found

    def __add__(self, other: Dyadic) -> Dyadic:
        low = min(self.exponent, other.exponent)
        return Dyadic.of(
            (self.mantissa << (self.exponent - low)) + (other.mantissa << (other.exponent - low)), low
        )

    def __str__(self) -> str:
        return f"{self.mantissa}p{self.exponent}"

    def __float__(self) -> float:
        """The nearest double (correctly rounded)."""
        return ratio(self.mantissa, 1, self.exponent)

    @property
    def is_negative(self) -> bool:
        """True below zero."""
        return self.mantissa < 0


ZERO = Dyadic(0, 0)


def ratio(numerator: int, denominator: int, exponent: int) -> float:
    """Compute ``numerator / denominator · 2**exponent``, correctly rounded; infinite beyond the doubles."""
    # Division of integers of any size is correctly rounded in Python; shifting first keeps it exact.
    try:
        if exponent >= 0:
            return (numerator << exponent) / denominator
        return numerator / (denominator << -exponent)
    except OverflowError:
        return math.inf if numerator > 0 else -math.inf


def square_root(numerator: int, denominator: int, exponent: int) -> float:
    """Compute ``√(numerator / denominator · 2**exponent)`` to the last bit but one, whatever the size."""
    if numerator == 0:
        return 0.0
    # Enough bits that the integer root has 70 of its own, and an even power of two to take out of the root.
    shift = max(0, 140 - numerator.bit_length() + denominator.bit_length())
    shift += (exponent - shift) & 1
    return ratio(math.isqrt((numerator << shift) // denominator), 1, (exponent - shift) // 2)


def exact_sums(values: ArrayLike) -> tuple[int, Dyadic, Dyadic]:
    """Count values, and add them and their squares without any rounding.

    Parameters
    ----------
    values
        Finite numbers, any shape, any order.

    Returns
    -------
    tuple
        Number of values, exact sum, exact sum of squares.

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64).ravel()
    if not np.isfinite(array).all():
        raise ValueError("only finite numbers can be summed; missing values are counted, not added")
    total, squares = ZERO, ZERO
    for start in range(0, array.size, _BLOCK):
        block_total, block_squares = _block_sums(array[start : start + _BLOCK])
        total, squares = total + block_total, squares + block_squares
    return int(array.size), total, squares


def _block_sums(block: NDArray[np.float64]) -> tuple[Dyadic, Dyadic]:
    fraction, exponents = np.frexp(block)
    mantissas = np.ldexp(fraction, 53).astype(np.int64)
    total, squares = ZERO, ZERO
    for exponent in np.unique(exponents):
        group = mantissas[exponents == exponent]
        high, low = group >> _HALF_BITS, group & ((1 << _HALF_BITS) - 1)
        value = (_sum(high) << _HALF_BITS) + _sum(low)
        square = (
            (_sum(high * high) << (2 * _HALF_BITS)) + (_sum(high * low) << (_HALF_BITS + 1)) + _sum(low * low)
        )
        shift = int(exponent) - 53
        total, squares = total + Dyadic.of(value, shift), squares + Dyadic.of(square, 2 * shift)
    return total, squares


def _sum(parts: NDArray[Any]) -> int:
    """Add 64-bit integers of up to 54 bits exactly: upper and lower halves can't overflow in one block."""
    lower = int((parts & 0xFFFFFFFF).sum(dtype=np.int64))
    return (int((parts >> 32).sum(dtype=np.int64)) << 32) + lower
