"""The comorbidome across sites: expected values and biological age learnt from sums, then z-scores and pairs.

CENTRAL learns from the reference subjects' cross products; each site applies what was learnt to its own rows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from racoon.science.comorbidome import AgeGap, ReferenceLine
from racoon.science.statistics.description import CountTable
from racoon.science.statistics.estimate import Estimate, z_of
from racoon.science.statistics.sums import CrossProducts


@dataclass(frozen=True)
class Expectation:
    """What reference subjects tell.

    Parameters
    ----------
    biomarkers
        Names, in order.
    lines
        Expected value per biomarker over age.
    intercept, weights
        Predicted age: intercept and years per unit of each biomarker.
    gap
        Correction of the predicted age's trend with age.
    """

    biomarkers: tuple[str, ...]
    lines: tuple[ReferenceLine, ...]
    intercept: float
    weights: tuple[float, ...]
    gap: AgeGap

    @property
    def numbers(self) -> tuple[float, ...]:
        """Everything a site needs, as plain numbers."""
        lines = [
            value for line in self.lines for value in (line.intercept, line.slope_per_year, line.residual_sd)
        ]
        return (*lines, self.intercept, *self.weights, self.gap.intercept, self.gap.slope)

    @staticmethod
    def apply(
        numbers: Sequence[float], biomarkers: NDArray[np.float64], ages: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Compute z-scores and corrected age gaps of a site's rows.

        Parameters
        ----------
        numbers
            As CENTRAL sends them.
        biomarkers, ages
            Shapes (rows, biomarkers) and (rows,); NaN is missing.

        Returns
        -------
        tuple
            z-scores, shape (rows, biomarkers), and age gaps in years, shape (rows,).

        Raises
        ------
        ValueError
            If the numbers do not fit.
        """
        width = biomarkers.shape[1]
        if len(numbers) != 4 * width + 3:
            raise ValueError("the expected values do not belong to these biomarkers")
        lines = np.asarray(numbers[: 3 * width], dtype=np.float64).reshape(width, 3)
        if (lines[:, 2] <= 0).any():
            raise ValueError("a reference needs a positive standard deviation")
        scores = (biomarkers - lines[:, 0] - np.outer(ages, lines[:, 1])) / lines[:, 2]
        intercept, weights = numbers[3 * width], np.asarray(numbers[3 * width + 1 : 4 * width + 1])
        predicted = intercept + biomarkers @ weights
        return scores, predicted - ages - numbers[-2] - numbers[-1] * ages


def learn(reference: CrossProducts, biomarkers: Sequence[str], source: str) -> Expectation:
    """Learn expected values, predicted age and its correction from reference subjects.

    Parameters
    ----------
    reference
        Cross products of the age and the biomarkers, in this order, over complete rows of all sites.
    biomarkers
        Their names.
    source
        Where the subjects come from.

    Raises
    ------
    ValueError
        With too few subjects, or columns that depend on each other.
    """
    width = len(biomarkers)
    if reference.n < width + 3:
        raise ValueError("too few reference subjects")
    means, covariance = reference.means, reference.covariance * (reference.n - 1)
    age = covariance[0, 0]
    if age <= 0:
        raise ValueError("the reference subjects have one age")
    lines = []
    for place in range(1, width + 1):
        slope = covariance[0, place] / age
        rest = covariance[place, place] - slope * covariance[0, place]
        spread = math.sqrt(max(rest, 0.0) / (reference.n - 2))
        lines.append(
            ReferenceLine(float(means[place] - slope * means[0]), float(slope), spread, reference.n, source)
        )
    inner, cross = covariance[1:, 1:], covariance[1:, 0]
    scale = np.sqrt(np.diag(inner))
    if (scale <= 0).any() or np.linalg.cond(inner / np.outer(scale, scale)) > 1e11:
        raise ValueError("a biomarker does not vary, or depends on the others")
    weights = np.linalg.solve(inner, cross)
    # The prediction's covariance with age is its own variance; so the correction follows from the same sums.
    explained = float(weights @ cross)
    slope = explained / age - 1
    residual = explained - 2 * explained * (1 + slope) + (1 + slope) ** 2 * age
    gap = AgeGap(
        intercept=float(-slope * means[0]),
        slope=float(slope),
        mean_absolute_error=math.nan,
        correlation=math.sqrt(max(explained, 0.0) / age),
        residual_sd=math.sqrt(max(residual, 0.0) / (reference.n - 2)),
    )
    intercept = float(means[0] - weights @ means[1:])
    return Expectation(tuple(biomarkers), tuple(lines), intercept, tuple(map(float, weights)), gap)


@dataclass(frozen=True)
class Edge:
    """How two conditions go together.

    Parameters
    ----------
    odds_ratio
        With its interval; one half is added to each cell where one is 0.
    phi
        Correlation of both.
    both, n
        Subjects with both, and subjects known in both.
    """

    odds_ratio: Estimate
    phi: float
    both: int
    n: int


def edge_of(table: CountTable, *, level: float = 0.95) -> Edge:
    """Measure how two conditions go together, from the table of both (rows and columns: no, yes)."""
    counts = table.counts.astype(np.float64)
    n = int(counts.sum())
    shifted = counts + (0.5 if (counts == 0).any() else 0.0)
    log = math.log(shifted[1, 1] * shifted[0, 0] / (shifted[0, 1] * shifted[1, 0]))
    reach = z_of(level) * math.sqrt(float((1 / shifted).sum()))
    margins = float(counts.sum(axis=0).prod() * counts.sum(axis=1).prod())
    cross = counts[1, 1] * counts[0, 0] - counts[0, 1] * counts[1, 0]
    ratio = Estimate(math.exp(log), math.exp(log - reach), math.exp(log + reach), n)
    return Edge(ratio, float(cross) / math.sqrt(margins) if margins > 0 else math.nan, int(counts[1, 1]), n)
