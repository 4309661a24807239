"""Z-scores against age and sex, the frailty index, and the bias correction of predicted ages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class ReferenceLine:
    """What is expected of a biomarker at an age, from a reference group of one sex.

    Parameters
    ----------
    intercept, slope_per_year
        Expected value: ``intercept + slope_per_year × age``.
    residual_sd
        Standard deviation around that line.
    subjects
        Size of the reference group.
    source
        Where it comes from.
    """

    intercept: float
    slope_per_year: float
    residual_sd: float
    subjects: int
    source: str

    @classmethod
    def fit(cls, values: Sequence[float], ages: Sequence[float], source: str) -> ReferenceLine:
        """Learn the line from a reference group of one sex by least squares.

        Raises
        ------
        ValueError
            With fewer than five subjects, or without variation.
        """
        age: NDArray[np.float64] = np.asarray(ages, dtype=np.float64)
        own: NDArray[np.float64] = np.asarray(values, dtype=np.float64)
        if own.size < 5 or np.ptp(age) == 0.0:
            raise ValueError("a reference line needs five subjects of different age")
        slope, intercept = np.polyfit(age, own, 1)
        spread = math.sqrt(float(((own - intercept - slope * age) ** 2).sum()) / (own.size - 2))
        if not spread > 0.0:
            raise ValueError("a reference line needs values that vary")
        return cls(float(intercept), float(slope), spread, int(own.size), source)

    def z_score(self, value: float, age_years: float) -> float:
        """Distance from what is expected, in standard deviations; NaN for a missing value."""
        if not self.residual_sd > 0.0:
            raise ValueError("a reference needs a positive standard deviation")
        return (value - self.intercept - self.slope_per_year * age_years) / self.residual_sd


def z_scores(
    values: Mapping[str, float], age_years: float, reference: Mapping[str, ReferenceLine]
) -> dict[str, float]:
    """Compute the z-score of every biomarker of the reference; NaN where the subject has no valid value."""
    return {name: line.z_score(values.get(name, math.nan), age_years) for name, line in reference.items()}


@dataclass(frozen=True)
class FrailtyIndex:
    """Share of deficits.

    Parameters
    ----------
    index
        Sum of deficits over deficits considered, 0 to 1; NaN when too few are known.
    present, considered, missing
        Sum of deficits, known ones, unknown ones.
    """

    index: float
    present: float
    considered: int
    missing: int

    @property
    def is_frail(self) -> bool:
        """True from 0.25, the usual cut-off; False when the index is unknown."""
        return self.index >= 0.25


def frailty_index(deficits: Mapping[str, float | None], *, least_known: float = 0.8) -> FrailtyIndex:
    """Compute the share of deficits that are present.

    Parameters
    ----------
    deficits
        0 (absent) to 1 (present); None when unknown.
    least_known
        Share of deficits that have to be known.

    Notes
    -----
    Searle 2008, doi:10.1186/1471-2318-8-24.
    """
    known = [value for value in deficits.values() if value is not None]
    if any(not 0.0 <= value <= 1.0 for value in known):
        raise ValueError("a deficit lies between 0 and 1")
    enough = bool(known) and len(known) >= least_known * len(deficits)
    present = float(sum(known))
    return FrailtyIndex(
        present / len(known) if enough else math.nan, present, len(known), len(deficits) - len(known)
    )


@dataclass(frozen=True)
class AgeGap:
    """Bias correction of predicted ages, learnt on the training set only.

    Parameters
    ----------
    intercept, slope
        Of the gap (predicted − chronological) on chronological age.
    mean_absolute_error, correlation
        Of the uncorrected predictions in the training set, in years and without unit.
    residual_sd
        Standard deviation of the corrected gap in the training set: the uncertainty of one gap.
    """

    intercept: float
    slope: float
    mean_absolute_error: float
    correlation: float
    residual_sd: float

    @classmethod
    def fit(cls, predicted: Sequence[float], chronological: Sequence[float]) -> AgeGap:
        """Learn the correction; regression to the mean makes the young look old and the old young.

        Notes
        -----
        Le 2018, doi:10.3389/fnagi.2018.00317; Cole 2018, doi:10.1038/mp.2017.62.
        """
        guess: NDArray[np.float64] = np.asarray(predicted, dtype=np.float64)
        age: NDArray[np.float64] = np.asarray(chronological, dtype=np.float64)
        if guess.shape != age.shape or guess.size < 3 or np.ptp(age) == 0.0:
            raise ValueError("the correction needs at least three subjects of different age")
        gap = guess - age
        slope, intercept = np.polyfit(age, gap, 1)
        rest = gap - intercept - slope * age
        correlation = float(np.corrcoef(guess, age)[0, 1]) if np.ptp(guess) > 0.0 else math.nan
        spread = math.sqrt(float((rest**2).sum()) / (guess.size - 2))
        return cls(float(intercept), float(slope), float(np.abs(gap).mean()), correlation, spread)

    def corrected(self, predicted: float, chronological: float) -> float:
        """Age gap in years, free of the trend with age."""
        return predicted - chronological - self.intercept - self.slope * chronological
