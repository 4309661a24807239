"""Predicted risks counted between published cuts, apart by outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.exact import Dyadic
from racoon.science.statistics.sums import add_all, exact_column_sums


@dataclass(frozen=True)
class RiskTable:
    """Site part: rows with and without the event per cell.

    Parameters
    ----------
    thresholds
        Ascending cuts; cell ``i`` holds risks from cut ``i - 1`` to below cut ``i``.
    positive, negative
        Rows with and without the event, one count per cell.
    predicted
        Exact sum of the predictions per cell.
    squared_error
        Exact sum of squared differences between prediction and outcome.
    """

    thresholds: tuple[float, ...]
    positive: tuple[int, ...]
    negative: tuple[int, ...]
    predicted: tuple[Dyadic, ...]
    squared_error: Dyadic

    def __post_init__(self) -> None:
        cells = len(self.thresholds) + 1
        if {len(self.positive), len(self.negative), len(self.predicted)} != {cells}:
            raise ValueError("a risk table has one cell more than cuts")
        if min((*self.positive, *self.negative)) < 0:
            raise ValueError("counts can't be negative")

    @classmethod
    def of(cls, scores: ArrayLike, outcomes: ArrayLike, thresholds: Sequence[float]) -> RiskTable:
        """Count predictions; rows with NaN in either column are left out.

        Raises
        ------
        ValueError
            If an outcome is not 0 or 1, or a prediction not from 0 to 1.
        """
        score, outcome = np.asarray(scores, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
        kept = ~(np.isnan(score) | np.isnan(outcome))
        score, outcome = score[kept], outcome[kept]
        if not np.isin(outcome, (0.0, 1.0)).all() or (score < 0).any() or (score > 1).any():
            raise ValueError("outcomes are 0 or 1, and a predicted risk lies from 0 to 1")
        cells, count = np.searchsorted(thresholds, score, side="right"), len(thresholds) + 1
        (error,) = exact_column_sums(((score - outcome) ** 2).reshape(-1, 1))
        return cls(
            tuple(float(cut) for cut in thresholds),
            tuple(int(n) for n in np.bincount(cells[outcome == 1], minlength=count)),
            tuple(int(n) for n in np.bincount(cells[outcome == 0], minlength=count)),
            tuple(exact_column_sums(score[cells == cell].reshape(-1, 1))[0] for cell in range(count)),
            error,
        )

    def __add__(self, other: RiskTable) -> RiskTable:
        if self.thresholds != other.thresholds:
            raise ValueError("risk tables over different cuts can't be added")
        return RiskTable(
            self.thresholds,
            tuple(a + b for a, b in zip(self.positive, other.positive, strict=True)),
            tuple(a + b for a, b in zip(self.negative, other.negative, strict=True)),
            add_all(self.predicted, other.predicted),
            self.squared_error + other.squared_error,
        )

    @classmethod
    def merge(cls, parts: Iterable[RiskTable]) -> RiskTable:
        """Add any number of parts, in any order.

        Raises
        ------
        ValueError
            Without any part, or when cuts differ.
        """
        merged: RiskTable | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts per cell with and without the event.

        Raises
        ------
        ValueError
            If one outcome does not occur.
        """
        events, others = np.array(self.positive, dtype=np.int64), np.array(self.negative, dtype=np.int64)
        if events.sum() == 0 or others.sum() == 0:
            raise ValueError("both outcomes must occur")
        return events, others

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "thresholds": list(self.thresholds),
            "positive": list(self.positive),
            "negative": list(self.negative),
            "predicted": [str(value) for value in self.predicted],
            "squared_error": str(self.squared_error),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> RiskTable:
        """Read the JSON form."""
        return cls(
            tuple(float(cut) for cut in document["thresholds"]),
            tuple(int(count) for count in document["positive"]),
            tuple(int(count) for count in document["negative"]),
            tuple(Dyadic.from_text(text) for text in document["predicted"]),
            Dyadic.from_text(document["squared_error"]),
        )
