"""One estimator after the other: every site's part, through its gate, added, estimated."""

from __future__ import annotations

from collections.abc import Sequence

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
    for group in plan.subgroups:
        condition = parse_expression(group.condition)
        parts = [table.part(evaluate(condition, table.columns, levels) == 1) for table in ordered]
        tables += [_estimate(plan, item, group.name, parts) for item in plan.estimators]
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
