"""The plan: what is computed, on which variables, for whom."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from racoon.domain.analysis.checks import Check, PlanDefect, check_estimators
from racoon.domain.analysis.estimators import (
    ESTIMATORS,
    Estimator,
    Harmonisation,
    document_of,
    harmonised_names,
)
from racoon.domain.analysis.expression import Kind, parse_expression
from racoon.domain.analysis.sources import HELP, source_kind
from racoon.domain.canonical import content_hash
from racoon.domain.plan import Bins

DropoutName = Literal["continue", "stop"]

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,63}")


@dataclass(frozen=True)
class Variable:
    """One column of the analysis.

    Parameters
    ----------
    name
        Letters, digits and underscores.
    kind
        ``number``, ``truth`` (0 or 1) or ``category``.
    unit
        UCUM unit of a number.
    levels
        Levels of a category, in order; the first is the reference.
    bins
        Histogram bins of a number, for quantiles and rank tests.
    derivation
        Expression over earlier variables; ``None`` for a column of the sites' tables.
    source
        Where a site takes it from, see ``sources``; empty for a column of the variable's own name.
    """

    name: str
    kind: Kind
    unit: str = ""
    levels: tuple[str, ...] = ()
    bins: Bins | None = None
    derivation: str | None = None
    source: str = ""


@dataclass(frozen=True)
class Subgroup:
    """Rows for which a condition holds; every estimator is computed for it too."""

    name: str
    condition: str


@dataclass(frozen=True)
class AnalysisPlan:
    """A whole analysis.

    Parameters
    ----------
    name
        Short name for people.
    variables
        In an order in which each derivation refers to earlier ones only.
    estimators
        What is computed.
    subgroups
        Computed besides all rows.
    minimum_sites
        Fewest sites whose numbers are pooled.
    on_dropout
        When a site leaves on the way: ``continue`` without it, or ``stop``.
    """

    name: str
    variables: tuple[Variable, ...]
    estimators: tuple[Estimator, ...]
    subgroups: tuple[Subgroup, ...] = ()
    minimum_sites: int = 3
    on_dropout: DropoutName = "continue"

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan."""
        return content_hash(self.to_dict())

    @property
    def harmonised(self) -> Mapping[str, tuple[int, Variable]]:
        """By name of a harmonised variable: place of its harmonisation, and the feature."""
        return {
            name: (place, self.variable(feature))
            for place, item in enumerate(self.estimators)
            if isinstance(item, Harmonisation)
            for name, feature in harmonised_names(item).items()
        }

    def variable(self, name: str) -> Variable:
        """Find a variable of this plan, or one that a harmonisation makes: a number without bins."""
        for item in self.variables:
            if item.name == name:
                return item
        return Variable(name, "number", self.harmonised[name][1].unit)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "kind": "analysis",
            "name": self.name,
            "variables": [asdict(item) for item in self.variables],
            "estimators": [document_of(item) for item in self.estimators],
            "subgroups": [asdict(item) for item in self.subgroups],
            "minimum_sites": self.minimum_sites,
            "on_dropout": self.on_dropout,
        }


def parse_plan(document: Mapping[str, Any]) -> AnalysisPlan:
    """Read and check a plan.

    Parameters
    ----------
    document
        JSON or YAML form; unknown keys are refused.

    Raises
    ------
    PlanDefect, ExpressionDefect
        Names the part and what to change.
    """
    known = {"kind", "name", "variables", "estimators", "subgroups", "minimum_sites", "on_dropout"}
    _only(document, known, "The plan")
    if document.get("kind", "analysis") != "analysis" or not str(document.get("name", "")).strip():
        raise PlanDefect("An analysis plan has the kind 'analysis' and a name.")
    variables = tuple(_variable(item) for item in _list(document, "variables"))
    kinds, levels = _check_variables(variables)
    estimators = tuple(_estimator(item) for item in _list(document, "estimators"))
    if not estimators:
        raise PlanDefect("The plan computes nothing; add an estimator.")
    binned = frozenset(item.name for item in variables if item.bins is not None)
    check_estimators(estimators, Check(kinds, levels, binned))
    subgroups = []
    for item in document.get("subgroups") or []:
        _only(item, {"name", "condition"}, "A subgroup")
        if parse_expression(str(item["condition"])).kind(kinds, levels) != "truth":
            raise PlanDefect(f"The condition of the subgroup {item['name']!r} must be true or false.")
        subgroups.append(Subgroup(str(item["name"]), str(item["condition"])))
    minimum = document.get("minimum_sites", 3)
    if not isinstance(minimum, int) or isinstance(minimum, bool) or minimum < 1:
        raise PlanDefect("minimum_sites is a whole number of at least 1.")
    if len({"", *(group.name for group in subgroups)}) != len(subgroups) + 1:
        raise PlanDefect("Subgroups have different names, and none is empty.")
    dropout = document.get("on_dropout", "continue")
    if dropout not in get_args(DropoutName):
        raise PlanDefect(f"on_dropout is one of {', '.join(get_args(DropoutName))}.")
    return AnalysisPlan(str(document["name"]), variables, estimators, tuple(subgroups), minimum, dropout)


def _only(document: Any, known: set[str], where: str) -> None:
    if not isinstance(document, Mapping):
        raise PlanDefect(f"{where} must be a mapping of keys to values.")
    if unknown := sorted(set(map(str, document)) - known):
        raise PlanDefect(
            f"{where} has unknown parts: {', '.join(unknown)}. Known are {', '.join(sorted(known))}."
        )


def _list(document: Mapping[str, Any], key: str) -> Sequence[Any]:
    value = document.get(key)
    if not isinstance(value, (list, tuple)):
        raise PlanDefect(f"The plan needs a list of {key}.")
    return value


def _variable(item: Any) -> Variable:
    _only(item, {field.name for field in fields(Variable)}, "A variable")
    name, kind = str(item.get("name", "")), item.get("kind")
    if _NAME.fullmatch(name) is None:
        raise PlanDefect(f"{name[:64]!r} is no name: letters, digits and underscores, a letter first.")
    if kind not in get_args(Kind):
        raise PlanDefect(f"{name} must be of the kind {', '.join(get_args(Kind))}.")
    levels = tuple(str(level) for level in item.get("levels") or ())
    if (kind == "category") != (len(levels) >= 2) or len(set(levels)) != len(levels):
        raise PlanDefect(f"{name}: a category, and only a category, has two or more different levels.")
    bins = None
    if item.get("bins"):
        _only(item["bins"], {"lower", "upper", "width"}, f"bins of {name}")
        try:
            bins = Bins(*(float(item["bins"][key]) for key in ("lower", "upper", "width")))
        except (KeyError, TypeError, ValueError) as error:
            raise PlanDefect(f"bins of {name} need lower, upper and width as numbers.") from error
    derivation, source = item.get("derivation"), str(item.get("source") or "")
    if source and derivation is not None:
        raise PlanDefect(f"{name}: a derived variable has no source of its own.")
    if source and source_kind(source) != kind:
        raise PlanDefect(f"{name}: a source is {HELP}.")
    return Variable(
        name,
        kind,
        str(item.get("unit") or ""),
        levels,
        bins,
        None if derivation is None else str(derivation),
        source,
    )


def _check_variables(
    variables: Sequence[Variable],
) -> tuple[dict[str, Kind], dict[str, tuple[str, ...]]]:
    kinds: dict[str, Kind] = {}
    levels: dict[str, tuple[str, ...]] = {}
    for item in variables:
        if item.name in kinds:
            raise PlanDefect(f"{item.name} is defined twice.")
        if item.derivation is not None:
            found = parse_expression(item.derivation).kind(kinds, levels)
            if found != item.kind or found == "category":
                raise PlanDefect(f"The derivation of {item.name} gives a {found}, not a {item.kind}.")
        kinds[item.name] = item.kind
        if item.levels:
            levels[item.name] = item.levels
    return kinds, levels


def _estimator(item: Any) -> Estimator:
    name = item.get("estimator") if isinstance(item, Mapping) else None
    if name not in ESTIMATORS:
        raise PlanDefect(f"An estimator is one of {', '.join(ESTIMATORS)}, not {name!r}.")
    kind: Any = ESTIMATORS[str(name)]
    known = {field.name: str(field.type) for field in fields(kind)}
    _only(item, {"estimator", *known}, f"The estimator {name}")
    values = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in item.items()
        if key != "estimator"
    }
    for key, value in values.items():
        if not _fits(value, known[key]):
            raise PlanDefect(f"{key} of the estimator {name} has the wrong type.")
    try:
        found: Estimator = kind(**values)
    except TypeError as error:
        raise PlanDefect(f"The estimator {name} lacks a part; it has {', '.join(known)}.") from error
    return found


def _fits(value: Any, annotation: str) -> bool:
    if annotation == "tuple[str, ...]":
        return isinstance(value, tuple) and all(isinstance(part, str) for part in value)
    if annotation == "tuple[float, ...]":
        return isinstance(value, tuple) and all(_is_number(part) for part in value)
    if annotation == "float":
        return _is_number(value)
    if annotation in {"int", "bool"}:
        return type(value).__name__ == annotation
    return isinstance(value, str) or (value is None and annotation.endswith("None"))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
