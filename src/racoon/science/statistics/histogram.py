"""Histograms over fixed, data-independent bins, and quantiles with a stated largest error."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MOST_BINS = 10_000
"""More bins than this would be a copy of the data, not a summary."""


@dataclass(frozen=True)
class FixedBins:
    """Bins ``[lower, lower+width), …`` up to upper, the last one closed, plus one below and one above.

    Parameters
    ----------
    lower, upper
        Range in the values' unit; chosen before anybody has seen a value.
    width
        Bin width; ``upper - lower`` must be a whole multiple of it.
    """

    lower: float
    upper: float
    width: float

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in (self.lower, self.upper, self.width)):
            raise ValueError("bins need finite limits")
        if self.width <= 0 or self.upper <= self.lower:
            raise ValueError("bins need a positive width and an upper limit above the lower one")
        bins = (self.upper - self.lower) / self.width
        if abs(bins - round(bins)) > 1e-6:
            raise ValueError("the range must be a whole number of bin widths")
        if round(bins) > _MOST_BINS:
            raise ValueError(f"more than {_MOST_BINS} bins")

    @property
    def count(self) -> int:
        """Number of bins between lower and upper."""
        return round((self.upper - self.lower) / self.width)

    @property
    def edges(self) -> NDArray[np.float64]:
        """Bin edges, shape (count + 1,).

        Each is computed from its number and correctly rounded: no error accumulates, and bins merged from
        others share their edges to the last bit.
        """
        start, span = Fraction(self.lower), Fraction(self.upper) - Fraction(self.lower)
        return np.array([float(start + span * number / self.count) for number in range(self.count + 1)])

    def cells(self, values: ArrayLike) -> NDArray[np.intp]:
        """Cell of each finite value: 0 is below, 1 … count are the bins, count + 1 is above.

        Raises
        ------
        ValueError
            If a value is NaN or infinite.
        """
        array = np.asarray(values, dtype=np.float64).ravel()
        if not np.isfinite(array).all():
            raise ValueError("only finite numbers can be binned")
        cells = np.searchsorted(self.edges, array, side="right")
        cells[array == self.upper] = self.count
        return cells

    def count_values(self, values: ArrayLike) -> Histogram:
        """Count finite values per cell."""
        counts = np.bincount(self.cells(values), minlength=self.count + 2)
        return Histogram(self, tuple(int(count) for count in counts))

    def to_dict(self) -> dict[str, float]:
        """Return the JSON form."""
        return {"lower": self.lower, "upper": self.upper, "width": self.width}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> FixedBins:
        """Read the JSON form."""
        return cls(float(document["lower"]), float(document["upper"]), float(document["width"]))


@dataclass(frozen=True)
class Quantile:
    """A quantile known up to the width of a bin.

    Parameters
    ----------
    value
        Middle of the interval; ``None`` when the interval has no end (it reaches below or above all bins).
    low, high
        The interval that surely holds the quantile; ``None`` where it is open.
    max_error
        Half the interval; ``None`` when it is open.
    """

    value: float | None
    low: float | None
    high: float | None

    @property
    def max_error(self) -> float | None:
        """Largest possible distance of ``value`` from the exact quantile."""
        return (self.high - self.low) / 2 if self.low is not None and self.high is not None else None


def rank_of(probability: float, total: int) -> int:
    """Rank (from 1) of the smallest value at or below which a share of ``total`` values lies.

    The probability counts as it is written: 0.4 of five values are two, though its binary form is a little more
    than 0.4.
    """
    return max(1, math.ceil(Fraction(str(float(probability))) * total))


@dataclass(frozen=True)
class Histogram:
    """Counts per cell; ``None`` where a site did not release the cell.

    Parameters
    ----------
    bins
        The bins.
    cells
        Counts: below, each bin, above; shape (bins.count + 2,).
    """

    bins: FixedBins
    cells: tuple[int | None, ...]

    def __post_init__(self) -> None:
        if len(self.cells) != self.bins.count + 2:
            raise ValueError("a histogram has one count per bin, one below and one above")
        if any(cell is not None and cell < 0 for cell in self.cells):
            raise ValueError("counts can't be negative")

    @property
    def known(self) -> int:
        """Values in cells that were released."""
        return sum(cell for cell in self.cells if cell is not None)

    @property
    def is_complete(self) -> bool:
        """True when no cell is missing."""
        return all(cell is not None for cell in self.cells)

    def __add__(self, other: Histogram) -> Histogram:
        """Add cell by cell; a cell missing on either side is missing in the sum."""
        if self.bins != other.bins:
            raise ValueError("histograms with different bins can't be added")
        return Histogram(
            self.bins,
            tuple(
                None if first is None or second is None else first + second
                for first, second in zip(self.cells, other.cells, strict=True)
            ),
        )

    @classmethod
    def merge(cls, parts: Iterable[Histogram]) -> Histogram:
        """Add any number of parts, in any order.

        Raises
        ------
        ValueError
            Without any part, or when bins differ.
        """
        merged: Histogram | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    def coarsened(self, factor: int) -> Histogram:
        """Merge each ``factor`` neighbouring bins; a merged bin with a missing part is missing.

        Raises
        ------
        ValueError
            If the number of bins is not a multiple of the factor.
        """
        if factor == 1:
            return self
        if factor < 1 or self.bins.count % factor:
            raise ValueError("the number of bins must be a multiple of the factor")
        inner = self.cells[1:-1]
        groups = [inner[start : start + factor] for start in range(0, len(inner), factor)]
        merged = [
            None if None in group else sum(cell for cell in group if cell is not None) for group in groups
        ]
        bins = FixedBins(self.bins.lower, self.bins.upper, self.bins.width * factor)
        return Histogram(bins, (self.cells[0], *merged, self.cells[-1]))

    def quantile(
        self, probability: float, *, unplaced: int = 0, places: Sequence[int] | None = None
    ) -> Quantile:
        """Enclose the smallest value below or at which a share of the values lies (inverted CDF).

        Parameters
        ----------
        probability
            0 < p <= 1.
        unplaced
            Values that exist but whose cells were not released; they widen the interval.
        places
            Cells in which unplaced values may lie, ascending; by default the missing ones, or all of them.

        Returns
        -------
        Quantile
            With complete cells the interval is one bin, so ``max_error`` is half a bin width.
        """
        if not 0 < probability <= 1:
            raise ValueError("a probability lies in (0, 1]")
        total = self.known + unplaced
        if total == 0:
            return Quantile(None, None, None)
        rank = rank_of(probability, total)
        missing = [index for index, cell in enumerate(self.cells) if cell is None]
        places = places or missing or range(len(self.cells))
        # All unplaced values as low as possible push the quantile down, as high as possible push it up.
        lowest = self._cell_of_rank(rank, {places[0]: unplaced})
        highest = self._cell_of_rank(rank, {places[-1]: unplaced})
        edges = self.bins.edges
        low = float(edges[lowest - 1]) if lowest > 0 else None
        high = float(edges[highest]) if highest <= self.bins.count else None
        return Quantile((low + high) / 2 if low is not None and high is not None else None, low, high)

    def _cell_of_rank(self, rank: int, extra: dict[int, int]) -> int:
        seen = 0
        for index, cell in enumerate(self.cells):
            seen += (cell or 0) + extra.get(index, 0)
            if seen >= rank:
                return index
        return len(self.cells) - 1

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"bins": self.bins.to_dict(), "cells": list(self.cells)}

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Histogram:
        """Read the JSON form."""
        return cls(
            FixedBins.from_dict(document["bins"]),
            tuple(None if cell is None else int(cell) for cell in document["cells"]),
        )
