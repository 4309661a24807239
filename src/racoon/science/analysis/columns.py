"""The table of a site, and columns of a model from the terms of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.terms import Factor, parse_term
from racoon.science.analysis.gate import Gate
from racoon.science.statistics.regression import restricted_cubic_spline

Columns = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class SiteTable:
    """The rows of one site with all variables of the plan.

    Parameters
    ----------
    site
        Site code.
    columns
        By variable, shape (rows,); see ``statistics.derivation``.
    gate
        The site's own.
    """

    site: str
    columns: Mapping[str, NDArray[np.float64]]
    gate: Gate

    @property
    def rows(self) -> int:
        """Number of rows."""
        return int(next(iter(self.columns.values())).size)


def model_columns(
    plan: AnalysisPlan, terms: Sequence[str], columns: Columns
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Build the covariates of a model.

    Parameters
    ----------
    plan
        Names levels.
    terms
        Variables, splines, or interactions ``a:b``.
    columns
        Of the site, shape (rows,) each.

    Returns
    -------
    tuple
        Names, and columns of shape (rows, covariates).
    """
    names: list[str] = []
    found: list[NDArray[np.float64]] = []
    for term in terms:
        factors = parse_term(term)
        parts = [_expand(plan, factor, columns[factor.name]) for factor in factors]
        product = parts[0]
        for part in parts[1:]:
            product = [(f"{a}:{b}", x * y) for a, x in product for b, y in part]
        names += [name for name, _ in product]
        found += [column for _, column in product]
    rows = next(iter(columns.values())).size
    return tuple(names), np.column_stack(found) if found else np.zeros((rows, 0))


def model_names(plan: AnalysisPlan, terms: Sequence[str]) -> tuple[str, ...]:
    """Name the covariates of a model; nobody's rows are needed for it."""
    names = (*(item.name for item in plan.variables), *plan.harmonised)
    return model_columns(plan, terms, dict.fromkeys(names, np.zeros(0)))[0]


def split_terms(terms: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Part terms into those that are fixed in time, and the variables after whose time a covariate is 1."""
    factors = {term: parse_term(term)[0] for term in terms}
    switching = [term for term in terms if factors[term].kind == "after"]
    return tuple(term for term in terms if term not in switching), tuple(
        factors[term].name for term in switching
    )


def complete(columns: Sequence[NDArray[np.float64]]) -> NDArray[np.bool_]:
    """Rows in which all of these are known."""
    return np.asarray(np.isfinite(np.vstack(columns)).all(axis=0))


def _expand(
    plan: AnalysisPlan, factor: Factor, column: NDArray[np.float64]
) -> list[tuple[str, NDArray[np.float64]]]:
    name = factor.name
    if factor.kind == "spline":
        parts = restricted_cubic_spline(column, factor.knots).T
        return [(name if not place else f"{name}~{place}", part) for place, part in enumerate(parts)]
    levels = plan.variable(name).levels
    if not levels:
        return [(name, column)]
    missing = np.isnan(column)
    return [
        (f"{name}[{level}]", np.where(missing, np.nan, (column == place).astype(np.float64)))
        for place, level in enumerate(levels)
        if place
    ]


def groups_of(plan: AnalysisPlan, by: str | None) -> tuple[str, ...]:
    """Names of the groups a variable makes; one group without a variable."""
    if by is None:
        return ("all",)
    return plan.variable(by).levels or (f"not {by}", by)


def codes_of(by: str | None, columns: Columns) -> NDArray[np.float64]:
    """Group of each row, as the index of its name; NaN where it is missing."""
    if by is None:
        return np.zeros(next(iter(columns.values())).size)
    return columns[by]
