"""What a plan may compute, one class per estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

FamilyName = Literal["gaussian", "binomial", "poisson", "negative-binomial"]
VarianceName = Literal["model", "robust"]
TestName = Literal["t", "welch", "mann-whitney", "chi-square", "fisher"]
TiesName = Literal["breslow", "efron"]


@dataclass(frozen=True)
class Description:
    """Table 1: variables by the levels of another."""

    title: str
    variables: tuple[str, ...]
    by: str | None = None


@dataclass(frozen=True)
class Comparison:
    """A test of a variable between the levels of another."""

    title: str
    variable: str
    by: str
    test: TestName


@dataclass(frozen=True)
class Model:
    """A generalised linear model; ``terms`` are variables or interactions ``a:b``."""

    title: str
    outcome: str
    terms: tuple[str, ...]
    family: FamilyName
    variance: VarianceName = "model"
    ridge: float = 0.0


@dataclass(frozen=True)
class SurvivalCurves:
    """Kaplan–Meier curves over a published grid, with a log-rank test between the levels of ``by``."""

    title: str
    time: str
    event: str
    edges: tuple[float, ...]
    by: str | None = None


@dataclass(frozen=True)
class CoxModel:
    """A Cox model over a published grid, or stratified by site without one (``edges`` empty)."""

    title: str
    time: str
    event: str
    terms: tuple[str, ...]
    edges: tuple[float, ...] = ()
    ties: TiesName = "efron"


Estimator = Description | Comparison | Model | SurvivalCurves | CoxModel

ESTIMATORS: Mapping[str, type[Estimator]] = {
    "description": Description,
    "comparison": Comparison,
    "model": Model,
    "survival": SurvivalCurves,
    "cox": CoxModel,
}
"""Name in the document, and class."""
