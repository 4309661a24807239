"""Correlation and agreement: exact cross products, and tables of two readers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.estimators import Agreement, Correlation
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns, complete, groups_of
from racoon.science.analysis.computed import Computed, Counts, Several, Sums
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, ResultTable, SiteLine
from racoon.science.statistics.agreement import (
    bland_altman,
    cohen_kappa,
    concordance_correlation,
    intraclass_correlation,
)
from racoon.science.statistics.description import CountTable, correlation, merge_tables
from racoon.science.statistics.estimate import Estimate
from racoon.science.statistics.sums import CrossProducts

Shown = tuple[str, Estimate]


def cross_products(item: str, names: Sequence[str], columns: Columns, chosen: Any = None) -> Sums:
    """Sum columns and their products over the rows in which all are known (and, if given, chosen)."""
    matrix = np.vstack([columns[name] for name in names])
    known = complete(list(matrix)) if chosen is None else complete(list(matrix)) & chosen
    rows = matrix[:, known]
    products = CrossProducts.of(tuple(names), rows.T)
    return Sums(item, rows, np.ones((1, rows.shape[1])), len(names), (), products.to_dict())


def check_products(names: Sequence[str], value: Mapping[str, Any]) -> None:
    """Refuse cross products of other columns."""
    if CrossProducts.from_dict(dict(value)).names != tuple(names):
        raise ValueError("an answer about other columns")


def _correlate(_plan: AnalysisPlan, item: Correlation, _question: Question, columns: Columns) -> Computed:
    return cross_products(item.title, item.variables, columns)


def _check_correlation(
    _plan: AnalysisPlan, item: Correlation, _question: Question, value: Mapping[str, Any]
) -> None:
    check_products(item.variables, value)


CORRELATION = ("first", "second", "n", "correlation", "low", "high")


def _conclude_correlation(inquiry: Inquiry, item: Correlation) -> ResultTable:
    own = {site: CrossProducts.from_dict(dict(value)) for site, value in values_of(inquiry.first()).items()}
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, CORRELATION, reasons)
    merged = CrossProducts.merge(own.values())
    rows: list[tuple[Cell, ...]] = []
    lines: list[SiteLine] = []
    for j, second in enumerate(item.variables):
        for i, first in enumerate(item.variables[:j]):
            found = correlation(merged, i, j)
            rows.append((first, second, merged.n, *_limits(found)))
            lines += [
                SiteLine(site, f"{first}, {second}", part.n, *_limits(correlation(part, i, j)))
                for site, part in sorted(own.items())
            ]
    return table(inquiry, item.title, CORRELATION, rows, lines=tuple(lines))


def _limits(found: Estimate) -> tuple[float | None, float | None, float | None]:
    value, low, high = (None if np.isnan(part) else part for part in (found.value, found.low, found.high))
    return value, low, high


def _agree(plan: AnalysisPlan, item: Agreement, _question: Question, columns: Columns) -> Computed:
    if item.measure != "kappa":
        return cross_products(item.title, item.variables, columns)
    first, second = item.variables
    levels = groups_of(plan, first)
    counts = CountTable.of(levels, levels, columns[first], columns[second])
    return Several([Counts(item.title, counts)])


def _check_agreement(
    plan: AnalysisPlan, item: Agreement, _question: Question, value: Mapping[str, Any]
) -> None:
    if item.measure != "kappa":
        check_products(item.variables, value)
        return
    (part,) = value["variables"]
    levels = groups_of(plan, item.variables[0])
    if part["table"] is not None:
        counts = CountTable.from_dict(part["table"])
        if (counts.rows, counts.columns) != (levels, levels):
            raise ValueError("an answer for other levels")


AGREEMENT = ("measure", "value", "low", "high", "n")


def _conclude_agreement(inquiry: Inquiry, item: Agreement) -> ResultTable:
    own: dict[str, CrossProducts | CountTable] = {}
    for site, value in values_of(inquiry.first()).items():
        if item.measure != "kappa":
            own[site] = CrossProducts.from_dict(dict(value))
        elif (document := value["variables"][0]["table"]) is not None:
            own[site] = CountTable.from_dict(document)
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, AGREEMENT, reasons)
    try:
        found = _measures(item, list(own.values()))
    except ValueError as error:
        return table(inquiry, item.title, AGREEMENT, [], (f"Not computed: {error}.",))
    lines = []
    for site, part in sorted(own.items()):
        try:
            name, first = _measures(item, [part])[0]
        except ValueError:  # a site alone may be too small for a measure of its own
            continue
        lines.append(SiteLine(site, name, first.n, *_limits(first)))
    rows: list[tuple[Cell, ...]] = [(name, *_limits(value), value.n) for name, value in found]
    return table(inquiry, item.title, AGREEMENT, rows, lines=tuple(lines))


def _measures(item: Agreement, parts: Sequence[CrossProducts | CountTable]) -> list[Shown]:
    if item.measure == "kappa":
        counts = merge_tables([part for part in parts if isinstance(part, CountTable)]).counts
        names = {
            "none": "kappa",
            "linear": "kappa (linear weights)",
            "quadratic": "kappa (quadratic weights)",
        }
        return [(names[item.weights], cohen_kappa(counts, weights=item.weights))]
    products = CrossProducts.merge(part for part in parts if isinstance(part, CrossProducts))
    if item.measure == "ccc":
        return [("concordance correlation", concordance_correlation(products))]
    if item.measure == "bland-altman":
        limits = bland_altman(products)
        return [
            ("bias", limits.bias),
            ("lower limit", limits.lower),
            ("upper limit", limits.upper),
            ("slope of differences on means", limits.slope),
        ]
    icc = intraclass_correlation(products)
    return [
        ("ICC(1,1)", icc.one_way),
        ("ICC(2,1)", icc.two_way),
        ("ICC(3,1)", icc.consistency),
        ("ICC(2,k)", icc.two_way_mean),
    ]


CORRELATIONS = Kind(_correlate, _check_correlation, _conclude_correlation)
AGREEMENTS = Kind(_agree, _check_agreement, _conclude_agreement)
