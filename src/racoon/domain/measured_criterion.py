"""Cohort condition on a value that was measured on an image series: a biomarker with a limit."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Any

from racoon.domain.clinical_criterion import CohortDefect

BIOMARKER_PATTERN = re.compile(r"[a-z][a-z0-9_.]{0,79}")
"""Names of the catalogue of biomarkers."""

LONGEST_UNIT = 40
_FIELDS = {"biomarker", "unit", "label", "minimum", "maximum", "isStrict"}


@dataclass(frozen=True)
class MeasuredValue:
    """A valid value of a biomarker on the series, within limits.

    Parameters
    ----------
    biomarker
        Name in the catalogue of biomarkers.
    unit
        UCUM code; a value in another unit does not meet the condition.
    label
        Key of the structure's code (``"SCT:10200004"``); any structure when not given.
    minimum, maximum
        Limits; at least one.
    is_strict
        Whether the limit itself is excluded; a range holds both.
    """

    biomarker: str
    unit: str
    label: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    is_strict: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return the form inside ``x-imaging``."""
        fields = {
            "biomarker": self.biomarker,
            "unit": self.unit,
            "label": self.label,
            "minimum": self.minimum,
            "maximum": self.maximum,
            "isStrict": self.is_strict or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


def parse_measured(found: dict[str, Any], where: str) -> MeasuredValue:
    """Read a condition on a measured value.

    Raises
    ------
    CohortDefect
        For whatever is not understood; nothing is ignored.
    """
    unknown = set(found) - _FIELDS
    if unknown:
        raise CohortDefect(f"{where}: x-imaging measured has no {', '.join(sorted(unknown))}.")
    biomarker, unit, label = found.get("biomarker"), found.get("unit"), found.get("label")
    if not isinstance(biomarker, str) or not BIOMARKER_PATTERN.fullmatch(biomarker):
        raise CohortDefect(f"{where}: x-imaging measured needs the name of a biomarker.")
    if not isinstance(unit, str) or not 0 < len(unit) <= LONGEST_UNIT:
        raise CohortDefect(f"{where}: x-imaging measured needs the unit of its limits.")
    if label is not None and (not isinstance(label, str) or not label):
        raise CohortDefect(f"{where}: x-imaging measured names its structure as SCHEME:code.")
    strict = found.get("isStrict", False)
    if not isinstance(strict, bool):
        raise CohortDefect(f"{where}: x-imaging measured isStrict is true or false.")
    low, high = (_limit(found.get(name), where) for name in ("minimum", "maximum"))
    if low is None and high is None:
        raise CohortDefect(f"{where}: x-imaging measured needs a minimum or a maximum.")
    if low is not None and high is not None and high < low:
        raise CohortDefect(f"{where}: the range ends below its beginning.")
    if strict and low is not None and high is not None:
        raise CohortDefect(f"{where}: a range holds its limits; isStrict goes with one of them.")
    return MeasuredValue(biomarker, unit, label, low, high, strict)


def _limit(value: Any, where: str) -> float | None:
    if value is None:
        return None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise CohortDefect(f"{where}: a value has to be a number.")
    return float(value)
