"""Descriptions and comparisons: what a site sums per variable, and the form of its answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from racoon.domain.analysis import AnalysisPlan, Comparison, Description
from racoon.science.analysis.columns import Columns, codes_of, complete, groups_of
from racoon.science.analysis.computed import Computed, Counts, Numbers, Several
from racoon.science.analysis.describing import compare, describe
from racoon.science.analysis.kind import Kind
from racoon.science.analysis.questions import Question
from racoon.science.statistics import FixedBins
from racoon.science.statistics.description import CountTable, NumberSummary


def variable_part(
    plan: AnalysisPlan, title: str, name: str, by: str | None, columns: Columns
) -> Numbers | Counts:
    """Summarise one variable by the levels of another."""
    variable, groups, codes = plan.variable(name), groups_of(plan, by), codes_of(by, columns)
    item = f"{title}: {name}"
    if variable.kind != "number":
        return Counts(item, CountTable.of(groups_of(plan, name), groups, columns[name], codes))
    bins = variable.bins
    fixed = FixedBins(bins.lower, bins.upper, bins.width) if bins is not None else None
    values = [columns[name][codes == place] for place in range(len(groups))]
    return Numbers(item, [(own, NumberSummary.of(own, fixed)) for own in values])


def check_variable(plan: AnalysisPlan, name: str, by: str | None, part: Mapping[str, Any]) -> None:
    """Refuse a value that is not about this variable."""
    groups = groups_of(plan, by)
    if plan.variable(name).kind == "number":
        if len(part["groups"]) != len(groups):
            raise ValueError("an answer for other groups")
        for document in part["groups"]:
            if document is not None:
                NumberSummary.from_dict(document)
    elif part["table"] is not None:
        table = CountTable.from_dict(part["table"])
        if (table.rows, table.columns) != (groups_of(plan, name), groups):
            raise ValueError("an answer for other levels")


def _describe(plan: AnalysisPlan, item: Description, _question: Question, columns: Columns) -> Computed:
    return Several([variable_part(plan, item.title, name, item.by, columns) for name in item.variables])


def _check_description(
    plan: AnalysisPlan, item: Description, _question: Question, value: Mapping[str, Any]
) -> None:
    for name, part in zip(item.variables, value["variables"], strict=True):
        check_variable(plan, name, item.by, part)


def _compare(plan: AnalysisPlan, item: Comparison, _question: Question, columns: Columns) -> Computed:
    if item.test != "paired-t":
        return Several([variable_part(plan, item.title, item.variable, item.by, columns)])
    known = complete([columns[item.variable], columns[item.by]])
    differences = np.where(known, columns[item.variable] - columns[item.by], np.nan)
    return Several([Numbers(item.title, [(differences, NumberSummary.of(differences))])])


def _check_comparison(
    plan: AnalysisPlan, item: Comparison, _question: Question, value: Mapping[str, Any]
) -> None:
    (part,) = value["variables"]
    check_variable(plan, item.variable, None if item.test == "paired-t" else item.by, part)


DESCRIPTION = Kind(_describe, _check_description, describe)
COMPARISON = Kind(_compare, _check_comparison, compare)
