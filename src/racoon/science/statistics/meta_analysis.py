"""Meta-analysis: one estimate and its variance per site or trial, nothing else.

For studies whose sites may not even share sums, and for comparing them with the pooled fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special

from racoon.science.statistics.estimate import Estimate, p_of_chi_square, p_of_t, p_of_z, z_of

Method = Literal["fixed", "dersimonian-laird", "reml"]

_ROUNDS = 500


@dataclass(frozen=True)
class Effect:
    """What one site or trial found.

    Parameters
    ----------
    name
        Site or trial.
    value
        Estimate on a scale where it is about normal, e.g. a log odds ratio.
    variance
        Squared standard error.
    """

    name: str
    value: float
    variance: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.value) or not 0 < self.variance < math.inf:
            raise ValueError("an effect needs a finite value and a positive variance")

    @classmethod
    def log_risk_ratio(cls, name: str, cells: tuple[int, int, int, int]) -> Effect:
        """Make a log risk ratio of (events, no events) treated and (events, no events) control.

        Notes
        -----
        One half is added to every cell when one of them is 0.
        """
        a, b, c, d = _corrected(cells)
        return cls(name, math.log(a / (a + b) / (c / (c + d))), 1 / a - 1 / (a + b) + 1 / c - 1 / (c + d))

    @classmethod
    def log_odds_ratio(cls, name: str, cells: tuple[int, int, int, int]) -> Effect:
        """Make a log odds ratio of the same four cells."""
        a, b, c, d = _corrected(cells)
        return cls(name, math.log(a * d / (b * c)), 1 / a + 1 / b + 1 / c + 1 / d)


def _corrected(cells: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    extra = 0.5 if 0 in cells else 0.0
    a, b, c, d = (cell + extra for cell in cells)
    return a, b, c, d


@dataclass(frozen=True)
class Synthesis:
    """Result of a meta-analysis.

    Parameters
    ----------
    method
        How it was pooled.
    pooled
        Pooled effect with its interval; ``n`` is the number of effects.
    standard_error, p
        Of the pooled effect.
    tau2
        Variance between sites; 0 for a fixed effect.
    tau2_error
        Standard error of REML's estimate; NaN otherwise.
    q, q_p
        Cochran's Q and its p value.
    i2, h2
        Share of variation between sites in percent, and total over sampling variability.
    prediction
        Interval in which the effect of a new site lies; NaN with fewer than three effects or for a fixed effect.
    weights
        Weight per effect, in percent.
    """

    method: Method
    pooled: Estimate
    standard_error: float
    p: float
    tau2: float
    tau2_error: float
    q: float
    q_p: float
    i2: float
    h2: float
    prediction: Estimate
    weights: tuple[float, ...]


def synthesise(
    effects: Sequence[Effect], method: Method = "reml", *, hartung_knapp: bool = False, level: float = 0.95
) -> Synthesis:
    """Pool effects.

    Parameters
    ----------
    effects
        One per site or trial.
    method
        ``fixed`` (inverse variance), ``dersimonian-laird`` or ``reml``.
    hartung_knapp
        Interval by Hartung and Knapp: t with k - 1 degrees of freedom and a variance from the spread seen.
    level
        Confidence level, also of the prediction interval.

    Notes
    -----
    DerSimonian, Laird 1986, doi:10.1016/0197-2456(86)90046-2; REML by Fisher scoring as in Viechtbauer 2005,
    doi:10.3102/10769986030003261; Hartung, Knapp 2001, doi:10.1002/sim.1009; prediction interval with k - 2
    degrees of freedom, Higgins, Thompson, Spiegelhalter 2009, doi:10.1111/j.1467-985X.2008.00552.x.
    I² of a random-effects model uses its own variance between sites (Higgins, Thompson 2002, doi:10.1002/sim.1186).

    Raises
    ------
    ValueError
        Without any effect.
    """
    if not effects:
        raise ValueError("a meta-analysis needs at least one effect")
    y, v = np.array([e.value for e in effects]), np.array([e.variance for e in effects])
    k = y.size
    fixed = 1 / v
    q = float((fixed * (y - (fixed @ y) / fixed.sum()) ** 2).sum())
    tau2, tau2_error = _between(y, v, q, method)
    weight = 1 / (v + tau2)
    centre = float(weight @ y / weight.sum())
    error = math.sqrt(1 / weight.sum())
    reach = z_of(level)
    p = p_of_z(centre / error)
    if hartung_knapp and k > 1:
        error = math.sqrt(float(weight @ (y - centre) ** 2) / (k - 1) / weight.sum())
        reach = float(special.stdtrit(k - 1, (1 + level) / 2))
        p = p_of_t(centre / error, k - 1) if error > 0 else math.nan
    typical = (k - 1) * fixed.sum() / (fixed.sum() ** 2 - (fixed**2).sum()) if k > 1 else math.nan
    if method == "fixed":
        i2, h2 = max(0.0, (q - (k - 1)) / q) if q > 0 else 0.0, q / (k - 1) if k > 1 else math.nan
    else:
        i2, h2 = tau2 / (tau2 + typical), tau2 / typical + 1
    return Synthesis(
        method,
        Estimate(centre, centre - reach * error, centre + reach * error, k),
        error,
        p,
        tau2,
        tau2_error,
        q,
        p_of_chi_square(q, k - 1) if k > 1 else math.nan,
        100 * i2,
        h2,
        _prediction(centre, error, tau2, k, level) if method != "fixed" else Estimate.undefined(k),
        tuple(float(share) for share in 100 * weight / weight.sum()),
    )


def _prediction(centre: float, error: float, tau2: float, k: int, level: float) -> Estimate:
    if k < 3:
        return Estimate.undefined(k)
    reach = float(special.stdtrit(k - 2, (1 + level) / 2)) * math.sqrt(tau2 + error**2)
    return Estimate(centre, centre - reach, centre + reach, k)


def _between(y: NDArray[np.float64], v: NDArray[np.float64], q: float, method: Method) -> tuple[float, float]:
    if method == "fixed" or y.size < 2:
        return 0.0, math.nan
    fixed = 1 / v
    spread = fixed.sum() - (fixed**2).sum() / fixed.sum()
    start = max(0.0, (q - (y.size - 1)) / float(spread))
    if method == "dersimonian-laird":
        return start, math.nan
    return _restricted_likelihood(y, v, start)


def _restricted_likelihood(
    y: NDArray[np.float64], v: NDArray[np.float64], start: float
) -> tuple[float, float]:
    """Fisher scoring; the projection ``P`` of Viechtbauer 2005 has a closed form without covariates."""
    tau2 = start
    for _ in range(_ROUNDS):
        w = 1 / (v + tau2)
        total = w.sum()
        centre = w @ y / total
        trace_p = total - (w**2).sum() / total
        trace_pp = (w**2).sum() - 2 * (w**3).sum() / total + ((w**2).sum() / total) ** 2
        change = float(((w**2) @ (y - centre) ** 2 - trace_p) / trace_pp)
        following = max(0.0, tau2 + change)
        if abs(following - tau2) < 1e-14 * (1 + tau2):
            break
        tau2 = following
    return tau2, math.sqrt(2 / float(trace_pp))


def leave_one_out(
    effects: Sequence[Effect], method: Method = "reml", *, hartung_knapp: bool = False, level: float = 0.95
) -> tuple[tuple[str, Synthesis], ...]:
    """Pool again without each effect in turn, to see whether one site carries the result.

    Returns
    -------
    tuple
        Name of the effect left out, and the result without it.
    """
    if len(effects) < 2:
        raise ValueError("leaving one out needs at least two effects")
    return tuple(
        (
            left_out.name,
            synthesise(
                [effect for effect in effects if effect is not left_out],
                method,
                hartung_knapp=hartung_knapp,
                level=level,
            ),
        )
        for left_out in effects
    )


@dataclass(frozen=True)
class FunnelTest:
    """Egger's regression: whether small sites find other effects than large ones.

    Parameters
    ----------
    intercept
        Of the standardised effect on precision; 0 for a symmetric funnel.
    p
        Two-sided p value with k - 2 degrees of freedom.
    """

    intercept: Estimate
    p: float


def funnel_test(effects: Sequence[Effect], *, level: float = 0.95) -> FunnelTest:
    """Test a funnel plot for asymmetry.

    Notes
    -----
    Egger and others 1997, doi:10.1136/bmj.315.7109.629; not to be read below ten effects.
    """
    k = len(effects)
    if k < 3:
        raise ValueError("a funnel needs at least three effects")
    errors = np.sqrt([effect.variance for effect in effects])
    design = np.column_stack([np.ones(k), 1 / errors])
    outcome = np.array([effect.value for effect in effects]) / errors
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ outcome
    residual = outcome - design @ found
    error = math.sqrt(float(residual @ residual) / (k - 2) * float(inverse[0, 0]))
    reach = float(special.stdtrit(k - 2, (1 + level) / 2)) * error
    value = float(found[0])
    return FunnelTest(Estimate(value, value - reach, value + reach, k), p_of_t(value / error, k - 2))
