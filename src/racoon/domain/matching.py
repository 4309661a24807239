"""Case-control matching as part of a cohort: who may be compared with whom, as data that can be hashed and shown."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from racoon.domain.clinical_criterion import CohortDefect

EXACT = ("gender", "modality", "bodyPart", "scanner", "ageBand")
"""What a case and its controls may have to share: of the subject, or of the series they came into the dataset with."""

CALIPERS = ("ageYears", "sliceThicknessMm")
"""Numbers in which they may differ by so much at most."""

MOST_CONTROLS = 10
LARGEST_SEED = 2**31 - 1
_FIELDS = {"exact", "ageBandYears", "calipers", "ratio", "seed"}


@dataclass(frozen=True)
class MatchingRule:
    """How controls are found for cases, without replacement.

    Parameters
    ----------
    exact
        Words of :data:`EXACT`.
    calipers
        Largest difference by word of :data:`CALIPERS`; the nearest control is taken, in the sum of differences over
        their calipers.
    ratio
        Controls for each case at most; a case without any leaves the dataset.
    age_band_years
        Width of the age bands that ``ageBand`` means, which begin at 0.
    seed
        Of the order in which cases choose: the same archive and seed give the same pairs.
    """

    exact: tuple[str, ...] = ()
    calipers: Mapping[str, float] = field(default_factory=dict)
    ratio: int = 1
    age_band_years: int = 10
    seed: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return the form inside ``x-matching``."""
        document: dict[str, Any] = {"ratio": self.ratio, "seed": self.seed}
        if self.exact:
            document["exact"] = sorted(set(self.exact))
        if self.calipers:
            document["calipers"] = {name: self.calipers[name] for name in sorted(self.calipers)}
        if "ageBand" in self.exact:
            document["ageBandYears"] = self.age_band_years
        return document


def parse_matching(found: Mapping[str, Any]) -> MatchingRule:
    """Read how controls are found.

    Raises
    ------
    CohortDefect
        For whatever is not understood; nothing is ignored.
    """
    unknown = set(found) - _FIELDS
    if unknown:
        raise CohortDefect(f"x-matching has no {', '.join(sorted(unknown))}.")
    exact, calipers = found.get("exact", []), found.get("calipers", {})
    if not isinstance(exact, list) or not all(isinstance(word, str) and word in EXACT for word in exact):
        raise CohortDefect(f"x-matching exact holds words of {', '.join(EXACT)}.")
    if not isinstance(calipers, dict) or not all(name in CALIPERS for name in calipers):
        raise CohortDefect(f"x-matching calipers are of {', '.join(CALIPERS)}.")
    widths = {name: _width(value) for name, value in calipers.items()}
    if not exact and not widths:
        raise CohortDefect("x-matching needs something that is alike: exact or calipers.")
    return MatchingRule(
        tuple(sorted(set(exact))),
        widths,
        _whole(found.get("ratio", 1), "ratio", 1, MOST_CONTROLS),
        _whole(found.get("ageBandYears", 10), "ageBandYears", 1, 50),
        _whole(found.get("seed", 1), "seed", 0, LARGEST_SEED),
    )


def _width(value: Any) -> float:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value) or value <= 0:
        raise CohortDefect("A caliper of x-matching is a number above 0.")
    return float(value)


def _whole(value: Any, name: str, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise CohortDefect(f"x-matching {name} is a whole number from {least} to {most}.")
    return value
