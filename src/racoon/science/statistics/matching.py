"""Matching of cases with controls, and how alike the groups are."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Unit:
    """One subject to be matched.

    Parameters
    ----------
    name
        Who.
    stratum
        What has to be equal; a unit with None in it is matched with nobody.
    position
        Numbers that are compared, each already divided by its caliper; NaN is matched with nobody.
    """

    name: str
    stratum: tuple[Hashable, ...]
    position: tuple[float, ...] = ()

    @property
    def is_known(self) -> bool:
        """Whether nothing that matters is missing."""
        return None not in self.stratum and not any(math.isnan(value) for value in self.position)


def match_controls(
    cases: Sequence[Unit], controls: Sequence[Unit], *, ratio: int, seed: int
) -> dict[str, tuple[str, ...]]:
    """Find the nearest controls within the calipers for each case, none of them twice.

    Parameters
    ----------
    cases, controls
        In any order: the outcome does not depend on it.  Who is both is no control.
    ratio
        Controls for each case at most.
    seed
        Of the order in which cases choose.

    Returns
    -------
    dict
        Controls by case, the nearest first; cases without any are not in it.

    Notes
    -----
    Greedy nearest neighbour within strata, without replacement (Austin 2014, Statistics in Medicine 33:1057,
    doi:10.1002/sim.6004).  Cases choose in rounds, so that each has a first control before any has a second one.
    """
    source = random.Random(seed)
    own = {unit.name for unit in cases}
    free: dict[tuple[Hashable, ...], dict[str, Unit]] = defaultdict(dict)
    for unit in sorted(controls, key=lambda unit: unit.name):
        if unit.is_known and unit.name not in own:
            free[unit.stratum][unit.name] = unit
    order = sorted((unit for unit in cases if unit.is_known), key=lambda unit: unit.name)
    source.shuffle(order)
    found: dict[str, list[str]] = {}
    for _ in range(ratio):
        for case in order:
            stratum = free[case.stratum]
            near = [
                (distance, name)
                for name, unit in stratum.items()
                if (distance := _distance(case.position, unit.position)) is not None
            ]
            if near:
                _, name = min(near)
                del stratum[name]
                found.setdefault(case.name, []).append(name)
    return {name: tuple(chosen) for name, chosen in sorted(found.items())}


def _distance(first: tuple[float, ...], second: tuple[float, ...]) -> float | None:
    """Sum of differences in units of their calipers; None when one is above its caliper."""
    differences = [abs(a - b) for a, b in zip(first, second, strict=True)]
    return None if any(value > 1 for value in differences) else math.fsum(differences)


def mean_difference(cases: Sequence[float], controls: Sequence[float]) -> float | None:
    """Standardise the difference of two means by the root of the mean variance; None where it is not defined.

    Notes
    -----
    Austin 2009, Statistics in Medicine 28:3083, doi:10.1002/sim.3697; variances with n - 1.
    """
    if min(len(cases), len(controls)) < 2:
        return None
    (mean, variance), (other_mean, other_variance) = _moments(cases), _moments(controls)
    pooled = math.sqrt((variance + other_variance) / 2)
    if pooled == 0:
        return 0.0 if mean == other_mean else None
    return (mean - other_mean) / pooled


def share_difference(cases: Sequence[Hashable], controls: Sequence[Hashable]) -> float | None:
    """Return the largest standardised difference of the shares of all values, in absolute terms."""
    if not cases or not controls:
        return None
    found = 0.0
    for value in {*cases, *controls}:
        share = sum(item == value for item in cases) / len(cases)
        other = sum(item == value for item in controls) / len(controls)
        pooled = math.sqrt((share * (1 - share) + other * (1 - other)) / 2)
        if pooled == 0 and share != other:
            return None
        found = max(found, abs(share - other) / pooled if pooled else 0.0)
    return found


def _moments(values: Sequence[float]) -> tuple[float, float]:
    mean = math.fsum(values) / len(values)
    return mean, math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


@dataclass(frozen=True)
class Balance:
    """How alike cases and controls are in one number or word.

    Parameters
    ----------
    covariate
        Which.
    before, after
        Standardised difference among all who could be matched, and among those who were; None where not defined.
    """

    covariate: str
    before: float | None
    after: float | None


def balance_of(
    covariates: Sequence[str],
    values: Mapping[str, Mapping[str, float | str | None]],
    before: tuple[Sequence[str], Sequence[str]],
    after: tuple[Sequence[str], Sequence[str]],
) -> list[Balance]:
    """Compare cases with controls in each covariate, before and after matching.

    Parameters
    ----------
    covariates
        Names; numbers are compared by means, words by shares.
    values
        By subject, then by covariate; unknown values are left out.
    before, after
        Names of cases and of controls.
    """
    return [
        Balance(name, *(_difference(name, values, groups) for groups in (before, after)))
        for name in covariates
    ]


def _difference(
    name: str,
    values: Mapping[str, Mapping[str, float | str | None]],
    groups: tuple[Sequence[str], Sequence[str]],
) -> float | None:
    found = [[value for one in group if (value := values[one].get(name)) is not None] for group in groups]
    numbers = [[value for value in group if isinstance(value, int | float)] for group in found]
    if any(numbers):
        return mean_difference(*numbers)
    return share_difference(*found)
