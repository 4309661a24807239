"""Standardised uptake: from activity concentration to SUV by body weight."""

from __future__ import annotations

import math

DAY_S = 86_400.0
"""Clocks of a header carry no date after de-identification; injection and scan lie less than a day apart."""

LONGEST_HALF_LIVES = 8.0
"""After eight half-lives less than 0.4 % is left: such a delay is a wrong clock, not a scan."""


def delay_between(injected_s: float, scanned_s: float) -> float:
    """Seconds from injection to scan, both as seconds of their day; a scan after midnight is the next day's."""
    return (scanned_s - injected_s) % DAY_S


def suv_factor(weight_kg: float, injected_bq: float, half_life_s: float, delay_s: float) -> float:
    """Factor from Bq/mL, decay corrected to the scan's start, to SUV by body weight in g/mL.

    Parameters
    ----------
    weight_kg
        Body weight.
    injected_bq
        Total dose at the time of injection.
    half_life_s
        Of the nuclide.
    delay_s
        From injection to the time the values are corrected to; 0 when that is the injection.

    Returns
    -------
    float
        NaN when a number is not positive or the delay is longer than eight half-lives.

    Notes
    -----
    QIBA FDG-PET/CT profile, appendix G; Boellaard 2015, doi:10.1007/s00259-014-2961-x.

    >>> suv_factor(70.0, 350e6, 6586.2, 0.0)
    0.0002
    """
    if min(weight_kg, injected_bq, half_life_s) <= 0.0 or delay_s < 0.0:
        return math.nan
    if delay_s > LONGEST_HALF_LIVES * half_life_s:
        return math.nan
    return weight_kg * 1000.0 / (injected_bq * math.exp(-math.log(2.0) * delay_s / half_life_s))
