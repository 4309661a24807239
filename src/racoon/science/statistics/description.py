"""Tables about a cohort: one variable, two variables, and Table 1 by group with standardised differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.estimate import Estimate, z_of
from racoon.science.statistics.histogram import FixedBins, Histogram, Quantile
from racoon.science.statistics.moments import Moments
from racoon.science.statistics.sums import CrossProducts


@dataclass(frozen=True)
class NumberSummary:
    """Site part of a numeric variable.

    Parameters
    ----------
    moments
        Exact count, sum and sum of squares of the known values.
    missing
        Rows without a value.
    histogram
        Counts per fixed bin; ``None`` when no bins were asked for.
    """

    moments: Moments
    missing: int
    histogram: Histogram | None = None

    @classmethod
    def of(cls, values: ArrayLike, bins: FixedBins | None = None) -> NumberSummary:
        """Reduce values; NaN is missing."""
        array = np.asarray(values, dtype=np.float64).ravel()
        known = array[~np.isnan(array)]
        return cls(
            Moments.of(known),
            int(array.size - known.size),
            bins.count_values(known) if bins is not None else None,
        )

    def __add__(self, other: NumberSummary) -> NumberSummary:
        if (self.histogram is None) != (other.histogram is None):
            raise ValueError("summaries with and without bins can't be added")
        both = self.histogram is not None and other.histogram is not None
        return NumberSummary(
            self.moments + other.moments,
            self.missing + other.missing,
            self.histogram + other.histogram if both else None,  # type: ignore[operator]  # both are there
        )

    def quantile(self, probability: float) -> Quantile:
        """Enclose a quantile; unknown without bins."""
        if self.histogram is None:
            return Quantile(None, None, None)
        return self.histogram.quantile(probability, unplaced=self.moments.n - self.histogram.known)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "moments": self.moments.to_dict(),
            "missing": self.missing,
            "histogram": self.histogram.to_dict() if self.histogram else None,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> NumberSummary:
        """Read the JSON form."""
        return cls(
            Moments.from_dict(document["moments"]),
            int(document["missing"]),
            Histogram.from_dict(document["histogram"]) if document["histogram"] else None,
        )


@dataclass(frozen=True)
class CountTable:
    """Counts of rows by the levels of two variables; ``None`` where a site did not release the cell.

    Parameters
    ----------
    rows, columns
        Levels, in order; one column level for a single variable.
    cells
        Counts, one tuple per row level.
    missing
        Rows in which one of the variables is missing.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    cells: tuple[tuple[int | None, ...], ...]
    missing: int = 0

    def __post_init__(self) -> None:
        if len(self.cells) != len(self.rows) or any(len(row) != len(self.columns) for row in self.cells):
            raise ValueError("a count table has one cell per pair of levels")
        if any(cell is not None and cell < 0 for row in self.cells for cell in row):
            raise ValueError("counts can't be negative")

    @classmethod
    def of(
        cls,
        rows: Sequence[str],
        columns: Sequence[str],
        row_codes: ArrayLike,
        column_codes: ArrayLike | None = None,
    ) -> CountTable:
        """Count pairs of codes.

        Parameters
        ----------
        rows, columns
            Levels.
        row_codes, column_codes
            Index of the level per row of data, NaN where missing; all 0 for a single variable.
        """
        first = np.asarray(row_codes, dtype=np.float64)
        second = np.zeros_like(first) if column_codes is None else np.asarray(column_codes, dtype=np.float64)
        known = ~(np.isnan(first) | np.isnan(second))
        table = np.zeros((len(rows), len(columns)), np.int64)
        np.add.at(table, (first[known].astype(np.intp), second[known].astype(np.intp)), 1)
        return cls(
            tuple(rows),
            tuple(columns),
            tuple(tuple(int(cell) for cell in row) for row in table),
            int((~known).sum()),
        )

    def __add__(self, other: CountTable) -> CountTable:
        if (self.rows, self.columns) != (other.rows, other.columns):
            raise ValueError("tables with different levels can't be added")
        return CountTable(
            self.rows,
            self.columns,
            tuple(
                tuple(None if a is None or b is None else a + b for a, b in zip(mine, theirs, strict=True))
                for mine, theirs in zip(self.cells, other.cells, strict=True)
            ),
            self.missing + other.missing,
        )

    @property
    def is_complete(self) -> bool:
        """True when no cell was held back."""
        return all(cell is not None for row in self.cells for cell in row)

    @property
    def counts(self) -> NDArray[np.int64]:
        """The cells as an array.

        Raises
        ------
        ValueError
            If a cell was held back.
        """
        if not self.is_complete:
            raise ValueError("a cell of this table was held back")
        return np.array([[cell or 0 for cell in row] for row in self.cells], dtype=np.int64)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "rows": list(self.rows),
            "columns": list(self.columns),
            "cells": [list(row) for row in self.cells],
            "missing": self.missing,
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> CountTable:
        """Read the JSON form."""
        return cls(
            tuple(document["rows"]),
            tuple(document["columns"]),
            tuple(tuple(None if cell is None else int(cell) for cell in row) for row in document["cells"]),
            int(document["missing"]),
        )


def merge_tables(parts: Iterable[CountTable]) -> CountTable:
    """Add tables, in any order.

    Raises
    ------
    ValueError
        Without any part, or when levels differ.
    """
    merged: CountTable | None = None
    for part in parts:
        merged = part if merged is None else merged + part
    if merged is None:
        raise ValueError("nothing to merge")
    return merged


def standardised_difference(first: Moments, second: Moments) -> float:
    """Standardised mean difference of two groups; NaN where a group has no spread.

    Notes
    -----
    Difference of the means over the root of the mean variance; Austin 2009, doi:10.1002/sim.3697.
    """
    spread = math.sqrt((first.variance + second.variance) / 2) if min(first.n, second.n) > 1 else math.nan
    return (first.mean - second.mean) / spread if spread > 0 else math.nan


def standardised_difference_of_shares(first: ArrayLike, second: ArrayLike) -> float:
    """Standardised difference of two groups over the levels of a categorical variable.

    Parameters
    ----------
    first, second
        Counts per level.

    Notes
    -----
    Mahalanobis distance of the shares without the first level; Yang, Dalton 2012.  With two levels it is the usual
    difference of proportions over the root of their mean variance.
    """
    one, two = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if one.sum() == 0 or two.sum() == 0:
        return math.nan
    p, q = (one / one.sum())[1:], (two / two.sum())[1:]
    spread = (np.diag(p) - np.outer(p, p) + np.diag(q) - np.outer(q, q)) / 2
    used = np.diag(spread) > 0
    if not used.any():
        return 0.0 if np.allclose(p, q) else math.nan
    difference = (p - q)[used]
    inverse = np.linalg.pinv(spread[np.ix_(used, used)])
    return math.sqrt(max(float(difference @ inverse @ difference), 0.0))


def correlation(products: CrossProducts, first: int, second: int, *, level: float = 0.95) -> Estimate:
    """Pearson correlation of two columns with its interval through Fisher's z.

    Parameters
    ----------
    products
        Exact cross products of the columns.
    first, second
        Columns.
    level
        Confidence level.
    """
    value = float(products.correlation[first, second])
    if math.isnan(value) or products.n < 4 or abs(value) >= 1:
        return Estimate(value, math.nan, math.nan, products.n)
    reach = z_of(level) / math.sqrt(products.n - 3)
    centre = math.atanh(value)
    return Estimate(value, math.tanh(centre - reach), math.tanh(centre + reach), products.n)


@dataclass(frozen=True)
class Baseline:
    """One line of Table 1.

    Parameters
    ----------
    variable
        Name.
    numbers
        Summary per group for a numeric variable, else empty.
    counts
        Table of levels (rows) by group (columns) for a categorical one, else ``None``.
    """

    variable: str
    numbers: tuple[NumberSummary, ...] = ()
    counts: CountTable | None = None

    @property
    def smd(self) -> float | None:
        """Largest standardised difference between any two groups, absolute; ``None`` with one group."""
        pairs: list[float] = []
        if self.counts is not None:
            if not self.counts.is_complete:
                return math.nan
            columns = self.counts.counts.T
            pairs = [
                standardised_difference_of_shares(columns[i], columns[j])
                for i in range(len(columns))
                for j in range(i)
            ]
        else:
            pairs = [
                standardised_difference(self.numbers[i].moments, self.numbers[j].moments)
                for i in range(len(self.numbers))
                for j in range(i)
            ]
        known = [abs(value) for value in pairs if not math.isnan(value)]
        return max(known) if known else math.nan if pairs else None
