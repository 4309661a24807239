"""What goes with what: how common conditions are, and which occur together more often than by chance."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

FEWEST_TOGETHER = 5
"""Pairs of conditions seen in fewer subjects are not linked."""


@dataclass(frozen=True)
class Condition:
    """One condition.

    Parameters
    ----------
    name
        Its name.
    present, known
        Subjects that have it, and subjects of whom it is known.
    """

    name: str
    present: int
    known: int

    @property
    def prevalence(self) -> float:
        """Share of the known ones; NaN when it is known of nobody."""
        return self.present / self.known if self.known else math.nan


@dataclass(frozen=True)
class Link:
    """Two conditions that are known of the same subjects.

    Parameters
    ----------
    first, second
        Names.
    together, known
        Subjects with both, and subjects of whom both are known.
    odds_ratio, low, high
        With its 95 % interval; half a subject is added to each cell (Haldane, Anscombe).
    """

    first: str
    second: str
    together: int
    known: int
    odds_ratio: float
    low: float
    high: float

    @property
    def is_shown(self) -> bool:
        """True when the interval leaves out 1 and enough subjects have both."""
        return self.together >= FEWEST_TOGETHER and (self.low > 1.0 or self.high < 1.0)


@dataclass(frozen=True)
class Network:
    """Conditions, most common first, and every pair of them."""

    conditions: tuple[Condition, ...]
    links: tuple[Link, ...]


def network_of(subjects: Sequence[Mapping[str, bool | None]]) -> Network:
    """Count conditions and pairs of them.

    Parameters
    ----------
    subjects
        For each subject condition to present, absent or ``None`` when unknown.

    Notes
    -----
    An unknown condition is not an absent one: each count has its own denominator.
    """
    names = sorted({name for subject in subjects for name in subject})
    conditions = []
    for name in names:
        known = [subject[name] for subject in subjects if subject.get(name) is not None]
        conditions.append(Condition(name, sum(map(bool, known)), len(known)))
    conditions.sort(key=lambda item: (-item.present, item.name))
    links = tuple(_link(first.name, second.name, subjects) for first, second in combinations(conditions, 2))
    return Network(tuple(conditions), links)


def _link(first: str, second: str, subjects: Sequence[Mapping[str, bool | None]]) -> Link:
    cells = [[0, 0], [0, 0]]
    for subject in subjects:
        one, other = subject.get(first), subject.get(second)
        if one is not None and other is not None:
            cells[int(one)][int(other)] += 1
    (neither, only_second), (only_first, both) = cells
    a, b, c, d = (count + 0.5 for count in (both, only_first, only_second, neither))
    ratio = a * d / (b * c)
    reach = 1.96 * math.sqrt(1 / a + 1 / b + 1 / c + 1 / d)
    known = both + only_first + only_second + neither
    return Link(first, second, both, known, ratio, ratio * math.exp(-reach), ratio * math.exp(reach))
