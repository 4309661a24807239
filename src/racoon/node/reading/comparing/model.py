"""Words of comparisons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from racoon.domain.questionnaire import Words


@dataclass(frozen=True)
class Difference:
    """One case in which two readings say different things.

    Parameters
    ----------
    first, second
        What both answered: key of a coded answer, truth value or number.
    distance
        How far apart: the difference of numbers, 1 for other answers.
    """

    imaging_study_uid: str
    first: object
    second: object
    distance: float


@dataclass(frozen=True)
class ItemAgreement:
    """How two readers, or all of them, agree on one question.

    Parameters
    ----------
    measure
        ``"kappa"``, ``"weighted kappa"`` (linear), ``"ICC(2,1)"``, or for more readers ``"Fleiss' kappa"``.
    value, low, high
        Estimate with 95 % limits, None where it does not exist.
    cases
        Cases that both answered.
    limits
        For measured numbers: lower limit of agreement, bias and upper limit of first - second (Bland, Altman), in
        ``unit``; None below three cases.
    pairs
        For measured numbers: what both readers answered.
    equal
        Cases in which both answered the same.
    differences
        Cases in which they did not, the widest apart first.
    """

    question: str
    readers: tuple[str, ...]
    measure: str
    cases: int
    value: float | None
    low: float | None = None
    high: float | None = None
    link_id: str = ""
    words: Words | None = None
    limits: tuple[float, float, float] | None = None
    pairs: tuple[tuple[float, float], ...] = ()
    unit: str = ""
    equal: int = 0
    differences: tuple[Difference, ...] = ()

    def to_dict(self, language: str = "en") -> dict[str, Any]:
        """Return the JSON form, the question in a language."""
        return {
            "question": self.words.in_language(language) if self.words else self.question,
            "link_id": self.link_id,
            "readers": list(self.readers),
            "measure": self.measure,
            "cases": self.cases,
            "equal": self.equal,
            "value": self.value,
            "low": self.low,
            "high": self.high,
            "limits_of_agreement": list(self.limits) if self.limits else None,
            "unit": self.unit,
        }
