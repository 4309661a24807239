"""Percentile bootstrap over subjects: how far a mean may be off because these subjects and no others were seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

RESAMPLES = 2000
"""The ends of a 95 % interval then rest on 50 resamples each; more changes the third digit at most."""

LEVEL = 0.95


@dataclass(frozen=True)
class BootstrapMean:
    """A mean with its bootstrap interval.

    Parameters
    ----------
    n
        Subjects.
    mean, lower, upper
        Mean and ends of the 95 % percentile interval; ``None`` without any subject, an interval needs two.
    """

    n: int
    mean: float | None
    lower: float | None = None
    upper: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"n": self.n, "mean": self.mean, "lower": self.lower, "upper": self.upper}


def bootstrap_mean(values: Sequence[float | None], seed: int = 1) -> BootstrapMean:
    """Compute a mean and its percentile interval.

    Parameters
    ----------
    values
        One per subject; ``None`` where it is not defined, which leaves the subject out.
    seed
        Same values and seed, same interval.

    Notes
    -----
    Efron 1979, doi:10.1214/aos/1176344552.  Percentile intervals are too narrow for very few subjects; ``n`` is
    always beside them.
    """
    known = np.sort(np.array([value for value in values if value is not None], dtype=np.float64))
    if not known.size:
        return BootstrapMean(0, None)
    mean = float(known.mean())
    if known.size == 1:
        return BootstrapMean(1, mean)
    generator = np.random.Generator(np.random.PCG64(seed))
    means = known[generator.integers(known.size, size=(RESAMPLES, known.size))].mean(axis=1)
    lower, upper = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return BootstrapMean(int(known.size), mean, float(lower), float(upper))
