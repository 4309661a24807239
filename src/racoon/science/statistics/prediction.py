"""How well predicted risks tell and match outcomes: ROC, calibration, decision curve, reclassification.

A site counts its predictions in fixed bins, apart for those with and without the event; curves come from added counts.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.statistics.description import CountTable
from racoon.science.statistics.estimate import Estimate, p_of_z, z_of
from racoon.science.statistics.exact import ZERO, Dyadic
from racoon.science.statistics.histogram import FixedBins, Histogram
from racoon.science.statistics.risk_table import RiskTable
from racoon.science.statistics.sums import add_all, exact_column_sums

RISK_BINS = FixedBins(0.0, 1.0, 0.01)
"""Bins of a predicted risk unless a plan says otherwise."""


@dataclass(frozen=True)
class ScoreTable:
    """Site part: predictions per bin, apart by outcome.

    Parameters
    ----------
    positive, negative
        Histograms of the predictions of rows with and without the event, over the same bins.
    predicted
        Exact sum of the predictions per cell, both outcomes together.
    squared_error
        Exact sum of squared differences between prediction and outcome.
    """

    positive: Histogram
    negative: Histogram
    predicted: tuple[Dyadic, ...]
    squared_error: Dyadic

    def __post_init__(self) -> None:
        if self.positive.bins != self.negative.bins or len(self.predicted) != len(self.positive.cells):
            raise ValueError("a score table has the same bins for both outcomes")

    @classmethod
    def of(cls, scores: ArrayLike, outcomes: ArrayLike, bins: FixedBins = RISK_BINS) -> ScoreTable:
        """Count predictions.

        Parameters
        ----------
        scores
            Predictions, shape (rows,); rows with NaN in either column are left out.
        outcomes
            0 or 1.
        bins
            The same at all sites, chosen before.
        """
        score, outcome = np.asarray(scores, dtype=np.float64), np.asarray(outcomes, dtype=np.float64)
        kept = ~(np.isnan(score) | np.isnan(outcome))
        score, outcome = score[kept], outcome[kept]
        if not np.isin(outcome, (0.0, 1.0)).all():
            raise ValueError("outcomes are 0 or 1")
        cells = bins.cells(score)
        predicted = tuple(
            exact_column_sums(score[cells == cell].reshape(-1, 1))[0] for cell in range(bins.count + 2)
        )
        (error,) = exact_column_sums(((score - outcome) ** 2).reshape(-1, 1))
        return cls(
            bins.count_values(score[outcome == 1]), bins.count_values(score[outcome == 0]), predicted, error
        )

    def __add__(self, other: ScoreTable) -> ScoreTable:
        return ScoreTable(
            self.positive + other.positive,
            self.negative + other.negative,
            add_all(self.predicted, other.predicted),
            self.squared_error + other.squared_error,
        )

    @classmethod
    def merge(cls, parts: Iterable[ScoreTable]) -> ScoreTable:
        """Add any number of parts, in any order.

        Raises
        ------
        ValueError
            Without any part, or when bins differ.
        """
        merged: ScoreTable | None = None
        for part in parts:
            merged = part if merged is None else merged + part
        if merged is None:
            raise ValueError("nothing to merge")
        return merged

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Edges of the bins: the risk at which each cell but the first begins."""
        return tuple(float(edge) for edge in self.positive.bins.edges)

    def counts(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts per cell with and without the event.

        Raises
        ------
        ValueError
            If a cell was held back, or one outcome does not occur.
        """
        if not (self.positive.is_complete and self.negative.is_complete):
            raise ValueError("a cell of this score table was held back")
        events = np.array([cell or 0 for cell in self.positive.cells], dtype=np.int64)
        others = np.array([cell or 0 for cell in self.negative.cells], dtype=np.int64)
        if events.sum() == 0 or others.sum() == 0:
            raise ValueError("both outcomes must occur")
        return events, others

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "positive": self.positive.to_dict(),
            "negative": self.negative.to_dict(),
            "predicted": [str(value) for value in self.predicted],
            "squared_error": str(self.squared_error),
        }

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> ScoreTable:
        """Read the JSON form."""
        return cls(
            Histogram.from_dict(document["positive"]),
            Histogram.from_dict(document["negative"]),
            tuple(Dyadic.from_text(text) for text in document["predicted"]),
            Dyadic.from_text(document["squared_error"]),
        )


@dataclass(frozen=True)
class Roc:
    """Receiver operating characteristic over the bins.

    Parameters
    ----------
    false_positive_rate, sensitivity
        One point per bin edge, from (0, 0) to (1, 1).
    auc
        Area with predictions of one bin as ties, and its interval.
    auc_low, auc_high
        Smallest and largest area the unbinned predictions can have.
    """

    false_positive_rate: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    auc: Estimate
    auc_low: float
    auc_high: float


def roc(table: ScoreTable | RiskTable, *, level: float = 0.95) -> Roc:
    """Compute the curve and its area.

    Notes
    -----
    Variance of DeLong, DeLong, Clarke-Pearson 1988, doi:10.2307/2531595, of the binned predictions; limits on the
    logit scale, so that they stay within 0 and 1.
    """
    events, others = table.counts()
    n, m = int(events.sum()), int(others.sum())
    below = np.concatenate([[0], np.cumsum(others)[:-1]])
    above = n - np.cumsum(events)
    by_event = (below + others / 2) / m
    by_other = (above + events / 2) / n
    auc = float(events @ by_event) / n
    variance = 0.0
    for counts, parts, size in ((events, by_event, n), (others, by_other, m)):
        if size > 1:
            variance += float(counts @ (parts - auc) ** 2) / (size - 1) / size
    low, high = auc, auc
    if 0 < auc < 1:
        reach = z_of(level) * math.sqrt(variance) / (auc * (1 - auc))
        centre = math.log(auc / (1 - auc))
        low, high = (1 / (1 + math.exp(-(centre + sign * reach))) for sign in (-1, 1))
    same = float(events @ others) / (n * m)
    return Roc(
        np.concatenate([[0.0], np.cumsum(others[::-1]) / m]),
        np.concatenate([[0.0], np.cumsum(events[::-1]) / n]),
        Estimate(auc, low, high, n + m),
        auc - same / 2,
        auc + same / 2,
    )


@dataclass(frozen=True)
class CalibrationGroup:
    """Rows with similar predictions.

    Parameters
    ----------
    predicted
        Mean prediction.
    observed
        Share with the event and its Wilson interval.
    """

    predicted: float
    observed: Estimate


def calibration(
    table: ScoreTable | RiskTable, *, groups: int = 10, level: float = 0.95
) -> tuple[CalibrationGroup, ...]:
    """Compare mean prediction and share of events in groups of neighbouring bins of about equal size.

    Parameters
    ----------
    table
        Counts of all sites.
    groups
        Largest number of groups.
    level
        Confidence level.
    """
    events, others = table.counts()
    both = events + others
    goal = both.sum() / groups
    found: list[CalibrationGroup] = []
    rows = happened = 0
    predicted = ZERO
    for place, count in enumerate(both):
        rows += int(count)
        happened += int(events[place])
        predicted = predicted + table.predicted[place]
        is_last = place == len(both) - 1
        if rows and (rows >= goal or is_last):
            found.append(CalibrationGroup(float(predicted) / rows, wilson(happened, rows, level=level)))
            rows = happened = 0
            predicted = ZERO
    return tuple(found)


def wilson(events: int, n: int, *, level: float = 0.95) -> Estimate:
    """Share with Wilson's interval (doi:10.1080/01621459.1927.10502953)."""
    if n == 0:
        return Estimate.undefined(0)
    z, share = z_of(level), events / n
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    reach = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return Estimate(share, max(0.0, centre - reach), min(1.0, centre + reach), n)


def brier_score(table: ScoreTable | RiskTable) -> float:
    """Mean squared difference between prediction and outcome, exact."""
    events, others = table.counts()
    return float(table.squared_error) / int(events.sum() + others.sum())


@dataclass(frozen=True)
class NetBenefit:
    """One threshold of a decision curve.

    Parameters
    ----------
    threshold
        Risk from which one would treat.
    model, treat_all
        Net true positives per subject by the model, and when everybody is treated; nobody treated is 0.
    """

    threshold: float
    model: float
    treat_all: float


def decision_curve(table: ScoreTable | RiskTable) -> tuple[NetBenefit, ...]:
    """Compute net benefit at every inner bin edge, where it is exact.

    Notes
    -----
    Vickers, Elkin 2006, doi:10.1177/0272989X06295361.
    """
    events, others = table.counts()
    total = int(events.sum() + others.sum())
    found = []
    for place, threshold in enumerate(table.thresholds):
        if not 0 < threshold < 1:
            continue
        odds = float(threshold) / (1 - float(threshold))
        true, false = int(events[place + 1 :].sum()), int(others[place + 1 :].sum())
        found.append(
            NetBenefit(
                float(threshold),
                true / total - false / total * odds,
                int(events.sum()) / total - int(others.sum()) / total * odds,
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Reclassification:
    """Net reclassification improvement of a second model over a first.

    Parameters
    ----------
    events, others
        Net share of rows with the event moved up, and of those without moved down.
    total
        Their sum, from -2 to 2.
    p
        Two-sided p value of the sum.
    """

    events: Estimate
    others: Estimate
    total: Estimate
    p: float


def net_reclassification(events: CountTable, others: CountTable, *, level: float = 0.95) -> Reclassification:
    """Count moves between ordered risk classes.

    Parameters
    ----------
    events, others
        Classes of the first model (rows) by those of the second (columns), for rows with and without the event.
    level
        Confidence level.

    Notes
    -----
    Pencina and others 2008, doi:10.1002/sim.2929; variance as corrected in 2011, doi:10.1002/sim.4085.
    """
    z = z_of(level)

    def net(table: CountTable, sign: int) -> tuple[Estimate, float]:
        counts = table.counts
        n = int(counts.sum())
        if n == 0:
            raise ValueError("both outcomes must occur")
        up, down = float(np.triu(counts, 1).sum()) / n, float(np.tril(counts, -1).sum()) / n
        value, variance = sign * (up - down), (up + down - (up - down) ** 2) / n
        reach = z * math.sqrt(variance)
        return Estimate(value, value - reach, value + reach, n), variance

    (with_event, first), (without, second) = net(events, 1), net(others, -1)
    value, error = with_event.value + without.value, math.sqrt(first + second)
    total = Estimate(value, value - z * error, value + z * error, with_event.n + without.n)
    return Reclassification(with_event, without, total, p_of_z(value / error) if error else math.nan)
