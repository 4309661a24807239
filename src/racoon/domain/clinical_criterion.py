"""Cohort criteria on the clinical course: a coded fact of a subject, with value and time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, ClassVar

from racoon.errors import Defect

CONTEXTS = {
    "Diagnose": "condition",
    "Laboruntersuchung": "observation",
    "Prozedur": "procedure",
    "Medikamentenverabreichung": "medication",
}
"""Context codes of the national portal (system ``fdpg.mii.cds``) and the kind of fact each means."""

CONTEXT_SYSTEM = "fdpg.mii.cds"

COMPARATORS = ("eq", "gt", "ge", "lt", "le")

ICD = "http://fhir.de/CodeSystem/bfarm/icd-10-gm"

SYSTEMS = {"http://fhir.de/CodeSystem/dimdi/icd-10-gm": ICD}
"""Older addresses of a code system and the one that the node's tables use."""


class CohortDefect(Defect):
    """The cohort definition is not understood."""

    code: ClassVar[str] = "cohort.invalid"


def category_of(system: str, code: str) -> str:
    """Return the part of a code by which its subdivisions are found: of ICD-10-GM what stands before the point."""
    return code.partition(".")[0] if system == ICD else code


@dataclass(frozen=True)
class ClinicalCriterion:
    """A fact of the clinical course that meets all given conditions.

    Parameters
    ----------
    kind
        A value of :data:`CONTEXTS`.
    codes
        Pairs of system and code, any of which will do.  A code of ICD-10-GM stands for its subdivisions too.
    minimum, maximum
        Limits of the value, both inclusive unless ``is_strict``.
    is_strict
        Whether a limit itself is excluded.
    unit
        UCUM code of the value; a value in another unit does not meet the criterion.  Without a limit it is empty.
    after, before
        First and last day, compared with shifted days: at its edges blurred by the node's shift of dates.
    """

    kind: str
    codes: tuple[tuple[str, str], ...]
    minimum: float | None = None
    maximum: float | None = None
    is_strict: bool = False
    unit: str = ""
    after: date | None = None
    before: date | None = None

    def __post_init__(self) -> None:
        if self.minimum is None and self.maximum is None:
            # The language names a unit only with a limit; without one the same question would have two forms.
            object.__setattr__(self, "unit", "")

    def to_dict(self) -> dict[str, Any]:
        """Return the CCDL form."""
        context = next(name for name, kind in CONTEXTS.items() if kind == self.kind)
        document: dict[str, Any] = {
            "context": {"code": context, "system": CONTEXT_SYSTEM, "display": context},
            "termCodes": [
                {"code": code, "system": system, "display": code} for system, code in sorted(set(self.codes))
            ],
        }
        unit = {"code": self.unit, "display": self.unit}
        if self.minimum is not None and self.maximum is not None:
            low, high = self.minimum, self.maximum
            document["valueFilter"] = {
                "type": "quantity-range",
                "minValue": low,
                "maxValue": high,
                "unit": unit,
            }
            if low == high and not self.is_strict:
                document["valueFilter"] = {
                    "type": "quantity-comparator",
                    "comparator": "eq",
                    "value": low,
                    "unit": unit,
                }
        elif self.minimum is not None or self.maximum is not None:
            word = "g" if self.minimum is not None else "l"
            document["valueFilter"] = {
                "type": "quantity-comparator",
                "comparator": word + ("t" if self.is_strict else "e"),
                "value": self.minimum if self.minimum is not None else self.maximum,
                "unit": unit,
            }
        days = {"afterDate": self.after, "beforeDate": self.before}
        if any(days.values()):
            document["timeRestriction"] = {name: day.isoformat() for name, day in days.items() if day}
        return document


def parse_clinical(item: dict[str, Any], where: str) -> ClinicalCriterion:
    """Read a CCDL criterion on the clinical course.

    Raises
    ------
    CohortDefect
        For whatever is not understood; nothing is ignored.
    """
    unknown = set(item) - {"context", "termCodes", "valueFilter", "timeRestriction"}
    if unknown:
        raise CohortDefect(f"{where}: {', '.join(sorted(unknown))} is not supported at the nodes yet.")
    kind = CONTEXTS[item["context"]["code"]]
    codes = []
    for code in item.get("termCodes") or []:
        system, value = code.get("system"), code.get("code")
        if not isinstance(system, str) or not isinstance(value, str) or not value or not system:
            raise CohortDefect(f"{where}: each term code needs a system and a code.")
        codes.append((SYSTEMS.get(system, system), value))
    if not codes:
        raise CohortDefect(f"{where}: a criterion needs at least one term code.")
    minimum, maximum, is_strict, unit = _value(item.get("valueFilter"), where)
    if unit and kind != "observation":
        raise CohortDefect(f"{where}: only laboratory values have a quantity.")
    after, before = _days(item.get("timeRestriction"), where)
    return ClinicalCriterion(
        kind, tuple(sorted(set(codes))), minimum, maximum, is_strict, unit, after, before
    )


def _value(found: Any, where: str) -> tuple[float | None, float | None, bool, str]:
    if found is None:
        return None, None, False, ""
    kind, unit = found.get("type"), (found.get("unit") or {}).get("code") or ""
    if kind == "quantity-range":
        low, high = _number(found.get("minValue"), where), _number(found.get("maxValue"), where)
        if high < low:
            raise CohortDefect(f"{where}: the range ends below its beginning.")
        return low, high, False, unit
    comparator = found.get("comparator")
    if kind != "quantity-comparator" or comparator not in COMPARATORS:
        raise CohortDefect(f"{where}: this filter of the value is not supported at the nodes yet.")
    value = _number(found.get("value"), where)
    minimum = value if comparator in ("eq", "gt", "ge") else None
    maximum = value if comparator in ("eq", "lt", "le") else None
    return minimum, maximum, comparator in ("gt", "lt"), unit


def _number(value: Any, where: str) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise CohortDefect(f"{where}: a value has to be a number.")
    return float(value)


def _days(found: Any, where: str) -> tuple[date | None, date | None]:
    if found is None:
        return None, None
    try:
        return tuple(  # type: ignore[return-value]  # two of them
            date.fromisoformat(found[name]) if found.get(name) else None
            for name in ("afterDate", "beforeDate")
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise CohortDefect(f"{where}: a time restriction has days such as 2026-01-31.") from error
