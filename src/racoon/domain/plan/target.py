"""What a network is to say of a whole image: a class or a number, and where the true one comes from at a site."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

SEGMENTATION, CLASSIFICATION, REGRESSION = "segmentation", "classification", "regression"

TASKS = (SEGMENTATION, CLASSIFICATION, REGRESSION)
"""What a training plan may train for."""

SOURCES = ("table", "measured", "answer")
"""Where a site finds the truth: a table beside the images, values it measured, answers of signed reports."""

MAXIMUM_WEIGHT = 1000.0


class BadTarget(ValueError):
    """A true value that a plan cannot use; says why in words without the value."""


@dataclass(frozen=True)
class Target:
    """The truth of whole images.

    Parameters
    ----------
    source
        One of :data:`SOURCES`.  In a folder of files all three are a column of its table.
    name
        Column of the table; key of a measurement as a measuring plan writes it, e.g. ``"volume@1 SCT:10200004"``; link
        id of a question.
    unit
        UCUM unit of a number; a value in another unit is refused, never converted.
    limits
        Regression: smallest and largest value in ``unit``.  They are published with the plan, scale the network's
        output to -1 … 1 alike at every site, and a value outside is refused as an error of the data.
    words
        Classification by words: for each of the plan's labels what the source says.
    edges
        Classification by a number: upper limits of all classes but the last; a value on a limit belongs to the next.
    weights
        Classification: weight of each class in the loss; empty weighs them alike.
    """

    source: str
    name: str
    unit: str = ""
    limits: tuple[float, float] | None = None
    words: tuple[str, ...] = ()
    edges: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise ValueError(f"the source of a target is one of {', '.join(SOURCES)}")
        if not 0 < len(self.name) <= 160:
            raise ValueError("a target has a name of up to 160 letters")

    def require_fit(self, task: str, labels: int) -> None:
        """Refuse a target that does not say what its task needs.

        Parameters
        ----------
        task
            ``classification`` or ``regression``.
        labels
            Number of the plan's labels.

        Raises
        ------
        ValueError
            With what is missing or too much.
        """
        if task == REGRESSION:
            if self.words or self.edges or self.weights or self.limits is None:
                raise ValueError("the target of a regression has limits, and no words, edges or weights")
            if not (all(map(math.isfinite, self.limits)) and self.limits[0] < self.limits[1]):
                raise ValueError("the limits of a target are two numbers, the smaller first")
            if labels != 1:
                raise ValueError("a regression has one label: the quantity")
            return
        if self.limits is not None or bool(self.words) == bool(self.edges):
            raise ValueError("the target of a classification has words or edges, one of them, and no limits")
        if labels < 2:
            raise ValueError("a classification has at least two labels: its classes")
        if self.words and (len(self.words) != labels or len(set(self.words)) != labels):
            raise ValueError("a target has one word for each label, all different")
        if self.edges and (len(self.edges) != labels - 1 or any(a >= b for a, b in pairwise(self.edges))):
            raise ValueError("a target has one edge fewer than labels, growing")
        if self.weights and (
            len(self.weights) != labels or not all(0 < weight <= MAXIMUM_WEIGHT for weight in self.weights)
        ):
            raise ValueError(f"a target has a weight for each label, above 0, up to {MAXIMUM_WEIGHT:g}")

    def encode(self, value: str | float, unit: str = "") -> float:
        """Turn what a source says into what a network learns: the class's index, or the number scaled to -1 … 1.

        Parameters
        ----------
        value
            A word or a number, also as text with a decimal point.
        unit
            Of the number, where the source knows it.

        Raises
        ------
        BadTarget
            For an unknown word, no number, another unit, or a number outside the limits.
        """
        if self.words:
            if str(value).strip() not in self.words:
                raise BadTarget("the target's word is none of the plan's")
            return float(self.words.index(str(value).strip()))
        if unit and unit != self.unit:
            raise BadTarget("the target is in another unit than the plan's")
        try:
            number = float(value)
        except ValueError:
            raise BadTarget("the target is no number") from None
        if not math.isfinite(number):
            raise BadTarget("the target is no number")
        if self.limits is None:
            return float(bisect.bisect_right(self.edges, number))
        low, high = self.limits
        if not low <= number <= high:
            raise BadTarget("the target is outside the plan's limits")
        return (2.0 * number - low - high) / (high - low)

    def decode(self, output: float) -> float:
        """Turn a regression's output, -1 … 1 within the limits, into a value in :attr:`unit`."""
        low, high = self.limits or (-1.0, 1.0)
        return (output * (high - low) + low + high) / 2.0

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: only what is stated."""
        document: dict[str, Any] = {"source": self.source, "name": self.name}
        if self.unit:
            document["unit"] = self.unit
        if self.limits:
            document["limits"] = list(self.limits)
        for name in ("words", "edges", "weights"):
            if getattr(self, name):
                document[name] = list(getattr(self, name))
        return document

    @classmethod
    def from_dict(cls, document: dict[str, Any]) -> Target:
        """Read the JSON form."""
        unknown = sorted(set(document) - set(cls.__dataclass_fields__))
        if unknown:
            raise ValueError(f"unknown words: {', '.join(unknown)}")
        limits = document.get("limits")
        return cls(
            str(document["source"]),
            str(document["name"]),
            str(document.get("unit", "")),
            (float(limits[0]), float(limits[1])) if limits else None,
            tuple(str(word) for word in document.get("words", ())),
            tuple(float(edge) for edge in document.get("edges", ())),
            tuple(float(weight) for weight in document.get("weights", ())),
        )


def balanced_weights(counts: Sequence[int]) -> tuple[float, ...]:
    """Return class weights by which every class counts alike: all cases by classes times cases of the class.

    Parameters
    ----------
    counts
        Cases of each class over all sites: counts that each site released, added.

    Raises
    ------
    BadTarget
        If a class has no case.
    """
    if not counts or min(counts) < 1:
        raise BadTarget("a class has no case: it cannot be weighed")
    return tuple(sum(counts) / (len(counts) * count) for count in counts)
