"""Exact sums of many columns at once, and of all their products: what models and agreement are made of.

A site reduces its rows to these sums; CENTRAL adds them.  Every sum is exact, so neither the order of the rows
nor the split into sites changes a bit of anything computed from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.exact import ZERO, Dyadic

_BLOCK = 1 << 16
"""Rows summed at once; small enough for the caches, and 2**16 parts below 2**33 can't leave 53 bits."""

_SLICE_BITS = 33
"""Bits taken off all values of a column in one pass."""

_SPLITTER = float((1 << 27) + 1)
"""Veltkamp's constant: splits a double into two halves whose products are exact."""


def to_fraction(value: Dyadic) -> Fraction:
    """Take an exact sum as a fraction, for arithmetic in which nothing cancels."""
    if value.exponent >= 0:
        return Fraction(value.mantissa << value.exponent)
    return Fraction(value.mantissa, 1 << -value.exponent)


def exact_column_sums(matrix: ArrayLike) -> tuple[Dyadic, ...]:
    """Add each column without any rounding.

    Parameters
    ----------
    matrix
        Finite numbers, shape (rows, columns).

    Raises
    ------
    ValueError
        If a value is NaN or infinite.
    """
    values = np.asarray(matrix, dtype=np.float64)
    if values.ndim != 2:
        raise ValueError("column sums need a matrix")
    if not np.isfinite(values).all():
        raise ValueError("only finite numbers can be summed; missing values are counted, not added")
    totals = [ZERO] * values.shape[1]
    for start in range(0, values.shape[0], _BLOCK):
        rest = np.ascontiguousarray(values[start : start + _BLOCK].T)
        for column in range(values.shape[1]):
            totals[column] += _block_sum(rest[column])
    return tuple(totals)


def _block_sum(values: NDArray[np.float64]) -> Dyadic:
    """Take the leading bits off all values as integers, add those exactly, go on with what is left."""
    total, rest = ZERO, values
    while (largest := float(np.abs(rest).max(initial=0.0))) > 0:
        shift = int(np.frexp(largest)[1]) - _SLICE_BITS
        if -1000 < shift < 1000 - _SLICE_BITS:
            leading = np.trunc(rest * 2.0**-shift)
            rest = rest - leading * 2.0**shift
        else:  # a power of two that is no double itself
            leading = np.trunc(np.ldexp(rest, -shift))
            rest = rest - np.ldexp(leading, shift)
        total += Dyadic.of(int(leading.sum()), shift)
    return total


def exact_product_sums(left: ArrayLike, right: ArrayLike) -> tuple[Dyadic, ...]:
    """Add the products of two matrices column by column without any rounding.

    Parameters
    ----------
    left, right
        Finite numbers below 1e150, shape (rows, columns).

    Notes
    -----
    The rounding error of a product of doubles is itself a double (Dekker 1971, doi:10.1007/BF01397083): both are added.
    """
    first, second = np.asarray(left, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if max(np.abs(first).max(initial=0.0), np.abs(second).max(initial=0.0)) > 1e150:
        raise ValueError("values beyond 1e150 have no exact product")
    product = first * second
    (first_high, first_low), (second_high, second_low) = _split(first), _split(second)
    error = first_low * second_low - (
        ((product - first_high * second_high) - first_low * second_high) - first_high * second_low
    )
    return tuple(
        high + low for high, low in zip(exact_column_sums(product), exact_column_sums(error), strict=True)
    )


def _split(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    scaled = _SPLITTER * values
    high = scaled - (scaled - values)
    return high, values - high


@dataclass(frozen=True)
class CrossProducts:
    """Exact sums of some columns and of all their products over the rows of one or more sites.

    Parameters
    ----------
    names
        Column names, in order.
    n
        Rows.
    sums
        Exact sum per column.
    products
        Exact sums of products, upper triangle row by row: (0,0), (0,1), …, (1,1), ….
    """

    names: tuple[str, ...]
    n: int
    sums: tuple[Dyadic, ...]
    products: tuple[Dyadic, ...]

    def __post_init__(self) -> None:
        width = len(self.names)
        if len(self.sums) != width or len(self.products) != width * (width + 1) // 2:
            raise ValueError("cross products need one sum per column and one per pair of columns")
        if self.n < 0 or any(self.products[self._place(i, i)].is_negative for i in range(width)):
            raise ValueError("a count and a sum of squares can't be negative")

    @classmethod
    def of(cls, names: Sequence[str], matrix: ArrayLike) -> CrossProducts:
        """Reduce rows to their sums.

        Parameters
        ----------
        names
            One per column.
        matrix
            Finite numbers, shape (rows, columns).

        Raises
        ------
        ValueError
            If a value is NaN or infinite: rows with missing values are left out and counted before.
        """
        values = np.asarray(matrix, dtype=np.float64)
        if values.ndim != 2 or values.shape[1] != len(names):
            raise ValueError("cross products need one name per column")
        products: list[Dyadic] = []
        for column in range(values.shape[1]):
            others = values[:, column:]
            products += exact_product_sums(np.broadcast_to(values[:, [column]], others.shape), others)
        return cls(tuple(names), values.shape[0], exact_column_sums(values), tuple(products))

    def __add__(self, other: CrossProducts) -> CrossProducts:
        if self.names != other.names:
            raise ValueError("cross products of different columns can't be added")
        return CrossProducts(
            self.names,
            self.n + other.n,
            tuple(a + b for a, b in zip(self.sums, other.sums, strict=True)),
            tuple(a + b for a, b in zip(self.products, other.products, strict=True)),
        )

    @classmethod
    def merge(cls, parts: Iterable[CrossProducts]) -> CrossProducts:
        """Add any number of parts, in any order.

        Raises
        ------
        ValueError
            Without any part, or when columns differ.
        """
        merged: CrossProducts | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    def sum_of(self, column: int) -> Fraction:
        """Sum of a column."""
        return to_fraction(self.sums[column])

    def product(self, row: int, column: int) -> Fraction:
        """Sum of the products of two columns."""
        return to_fraction(self.products[self._place(min(row, column), max(row, column))])

    def scatter(self, row: int, column: int) -> Fraction:
        """Sum of products of deviations from the means, ``Σ(x - x̄)(y - ȳ)``; 0 without rows."""
        if self.n == 0:
            return Fraction(0)
        return self.product(row, column) - self.sum_of(row) * self.sum_of(column) / self.n

    @property
    def means(self) -> NDArray[np.float64]:
        """Mean per column, shape (columns,); NaN without rows."""
        return np.array(
            [float(self.sum_of(i) / self.n) if self.n else np.nan for i in range(len(self.names))]
        )

    @property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance matrix with n - 1, shape (columns, columns); NaN below two rows."""
        width = len(self.names)
        if self.n < 2:
            return np.full((width, width), np.nan)
        return np.array(
            [[float(self.scatter(i, j) / (self.n - 1)) for j in range(width)] for i in range(width)]
        )

    @property
    def correlation(self) -> NDArray[np.float64]:
        """Pearson correlation, shape (columns, columns); NaN for a column without variation."""
        covariance = self.covariance
        deviation = np.sqrt(np.diag(covariance))
        deviation[deviation == 0] = np.nan
        found = np.clip(covariance / np.outer(deviation, deviation), -1.0, 1.0)
        return np.asarray(found, dtype=np.float64)

    def _place(self, row: int, column: int) -> int:
        return row * len(self.names) - row * (row - 1) // 2 + column - row

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "names": list(self.names),
            "n": self.n,
            "sums": [str(value) for value in self.sums],
            "products": [str(value) for value in self.products],
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> CrossProducts:
        """Read the JSON form.

        Raises
        ------
        ValueError
            If no real rows could have these sums.
        """
        return cls(
            tuple(str(name) for name in document["names"]),
            int(document["n"]),
            tuple(Dyadic.from_text(text) for text in document["sums"]),
            tuple(Dyadic.from_text(text) for text in document["products"]),
        )
