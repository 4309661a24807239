"""A transparent biological age: a linear model of few biomarkers that says how far it is off.

Every coefficient is in years per standard deviation, so that a person can follow a prediction term by term.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from racoon.science.comorbidome.scores import AgeGap

Floats = NDArray[np.float64]

FEWEST_PER_FEATURE = 5
"""Subjects for each biomarker below which such a model mostly learns noise."""

_T975 = 1.96


@dataclass(frozen=True)
class Calibration:
    """How predictions lie against the truth, from predictions for subjects the model did not see.

    Parameters
    ----------
    slope, intercept
        Of chronological age on predicted age; 1 and 0 when calibrated.
    mean_absolute_error, correlation
        In years, and without unit.
    groups
        Mean predicted and mean chronological age of fifths of the subjects, by predicted age.
    """

    slope: float
    intercept: float
    mean_absolute_error: float
    correlation: float
    groups: tuple[tuple[float, float], ...]


@dataclass(frozen=True, eq=False)
class BiologicalAge:
    """A fitted model.

    Parameters
    ----------
    features
        Names of the biomarkers.
    means, sds
        Of the training group, for standardising.
    coefficients
        Years per standard deviation.
    intercept
        Mean age of the training group.
    penalty
        Strength of the ridge penalty that was chosen.
    gap
        Bias correction, learnt on predictions for left-out subjects.
    calibration
        Of those predictions.
    subjects
        Size of the training group.
    """

    features: tuple[str, ...]
    means: tuple[float, ...]
    sds: tuple[float, ...]
    coefficients: tuple[float, ...]
    intercept: float
    penalty: float
    gap: AgeGap
    calibration: Calibration
    subjects: int

    @classmethod
    def fit(cls, features: Sequence[str], values: ArrayLike, ages: ArrayLike) -> BiologicalAge:
        """Fit ridge regression; the penalty is the one whose left-out predictions are best.

        Parameters
        ----------
        features
            Names.
        values
            Finite, shape (subjects, features).
        ages
            Chronological age in years, shape (subjects,).

        Raises
        ------
        ValueError
            With too few subjects for so many biomarkers, or a biomarker without variation.

        Notes
        -----
        Leaving one out needs no refitting: the residual of a left-out subject is ``e / (1 − h)`` with its leverage h
        (Allen 1974, doi:10.1080/00401706.1974.10489157); bias correction after Le 2018, doi:10.3389/fnagi.2018.00317.
        """
        table: Floats = np.asarray(values, dtype=np.float64)
        age: Floats = np.asarray(ages, dtype=np.float64)
        if table.ndim != 2 or table.shape != (age.size, len(features)) or not np.isfinite(table).all():
            raise ValueError("a model of age needs one finite number per subject and biomarker")
        if age.size < max(10, FEWEST_PER_FEATURE * len(features)):
            raise ValueError(
                f"{len(features)} biomarkers need at least {max(10, FEWEST_PER_FEATURE * len(features))} subjects"
            )
        means, sds = table.mean(axis=0), table.std(axis=0, ddof=1)
        if (sds == 0).any() or np.ptp(age) == 0.0:
            raise ValueError("a biomarker or the age has no variation")
        scaled = (table - means) / sds
        best: tuple[float, float, Floats, Floats] | None = None
        for penalty in np.logspace(-2, 3, 26):
            coefficients, left_out = _ridge(scaled, age, float(penalty))
            error = float(np.mean((left_out - age) ** 2))
            if best is None or error < best[0]:
                best = (error, float(penalty), coefficients, left_out)
        assert best is not None
        _, penalty, coefficients, left_out = best
        return cls(
            tuple(features),
            tuple(map(float, means)),
            tuple(map(float, sds)),
            tuple(map(float, coefficients)),
            float(age.mean()),
            penalty,
            AgeGap.fit(left_out.tolist(), age.tolist()),
            _calibration(left_out, age),
            int(age.size),
        )

    def terms(self, values: Mapping[str, float]) -> dict[str, float]:
        """Years that each biomarker adds to the mean age; NaN where it is missing."""
        return {
            name: coefficient * (values.get(name, math.nan) - mean) / sd
            for name, coefficient, mean, sd in zip(
                self.features, self.coefficients, self.means, self.sds, strict=True
            )
        }

    def predict(self, values: Mapping[str, float]) -> float:
        """Biological age in years; NaN when a biomarker is missing: a guess in its place would hide that."""
        return self.intercept + sum(self.terms(values).values())

    def gap_years(self, values: Mapping[str, float], age: float) -> tuple[float, float, float]:
        """Corrected age gap with the interval in which 95 % of the training group's gaps lie."""
        corrected = self.gap.corrected(self.predict(values), age)
        reach = _T975 * self.gap.residual_sd
        return corrected, corrected - reach, corrected + reach


def _ridge(scaled: Floats, age: Floats, penalty: float) -> tuple[Floats, Floats]:
    """Coefficients, and the prediction of each subject by a model without it."""
    n = age.size
    gram = scaled.T @ scaled + penalty * np.eye(scaled.shape[1])
    coefficients = np.linalg.solve(gram, scaled.T @ (age - age.mean()))
    # The mean takes one degree of freedom: 1/n of leverage for everybody.
    leverage = np.einsum("ij,ji->i", scaled, np.linalg.solve(gram, scaled.T)) + 1.0 / n
    residual = age - age.mean() - scaled @ coefficients
    left_out: Floats = age - residual / (1.0 - leverage)
    return coefficients, left_out


def _calibration(predicted: Floats, age: Floats) -> Calibration:
    slope, intercept = np.polyfit(predicted, age, 1) if np.ptp(predicted) > 0 else (math.nan, math.nan)
    order = np.argsort(predicted, kind="stable")
    groups = tuple(
        (float(predicted[part].mean()), float(age[part].mean())) for part in np.array_split(order, 5)
    )
    correlation = float(np.corrcoef(predicted, age)[0, 1]) if np.ptp(predicted) > 0 else math.nan
    return Calibration(
        float(slope), float(intercept), float(np.abs(predicted - age).mean()), correlation, groups
    )
