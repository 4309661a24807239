"""One estimator after the other: every site's part, through its gate, added, estimated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from racoon.domain.analysis import (
    AnalysisPlan,
    Comparison,
    CoxModel,
    Description,
    Model,
    SurvivalCurves,
    parse_expression,
)
from racoon.domain.analysis.plan import Estimator
from racoon.science.analysis.columns import SiteTable
from racoon.science.analysis.describing import compare, describe
from racoon.science.analysis.modelling import draw_survival, fit_cox, fit_glm
from racoon.science.analysis.results import Analysis, ResultTable
from racoon.science.statistics.derivation import evaluate


def run_plan(plan: AnalysisPlan, sites: Sequence[SiteTable]) -> Analysis:
    """Compute everything a plan asks for.

    Parameters
    ----------
    plan
        Checked plan.
    sites
        Their tables; the result does not depend on their order.

    Returns
    -------
    Analysis
        What was refused stands in it with its reason; the rest comes.
    """
    levels = {item.name: item.levels for item in plan.variables if item.levels}
    ordered = sorted(sites, key=lambda table: table.site)
    tables = [_estimate(plan, item, "", ordered) for item in plan.estimators]
    chosen = {table.site: [np.ones(table.rows, np.bool_)] for table in ordered}
    for group in plan.subgroups:
        condition = parse_expression(group.condition)
        parts: list[SiteTable] = []
        held: list[tuple[str, str]] = []
        for table in ordered:
            rows = evaluate(condition, table.columns, levels) == 1
            reasons = table.gate.subgroup(group.name, rows, chosen[table.site])
            held += [(table.site, reason) for reason in reasons]
            if not reasons:
                chosen[table.site].append(rows)
                parts.append(table.part(rows))
        for item in plan.estimators:
            found = _estimate(plan, item, group.name, parts)
            tables.append(replace(found, withheld=tuple(sorted({*found.withheld, *held}))))
    return Analysis(plan.hash, tuple(tables))


def _estimate(plan: AnalysisPlan, item: Estimator, subgroup: str, sites: Sequence[SiteTable]) -> ResultTable:
    if isinstance(item, Description):
        return describe(plan, item, subgroup, sites)
    if isinstance(item, Comparison):
        return compare(plan, item, subgroup, sites)
    if isinstance(item, Model):
        return fit_glm(plan, item, subgroup, sites)
    if isinstance(item, SurvivalCurves):
        return draw_survival(plan, item, subgroup, sites)
    assert isinstance(item, CoxModel), "every estimator of the plan has a way to be computed"
    return fit_cox(plan, item, subgroup, sites)
