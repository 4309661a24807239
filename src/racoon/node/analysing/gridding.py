"""What a published time grid costs: pooled fits and curves on the grid beside those at exact times.  Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, CoxModel, SurvivalCurves
from racoon.science.analysis import Analysis, OpenGate, SiteTable, run_plan
from racoon.science.statistics.survival import SurvivalTable, TimeGrid, kaplan_meier


def grid_costs(
    plan: AnalysisPlan, columns: Mapping[str, NDArray[np.float64]], pooled: Analysis
) -> dict[str, str]:
    """Say for each estimator over a grid how far it lies from the one at exact times.

    Parameters
    ----------
    plan
        As it was run.
    columns
        All rows of all sites, by variable.
    pooled
        Its results on those rows.

    Returns
    -------
    dict
        By title: a sentence.
    """
    found: dict[str, str] = {}
    for item in plan.estimators:
        if isinstance(item, CoxModel) and item.edges:
            if sentence := _cox(plan, item, columns, pooled):
                found[item.title] = sentence
        elif isinstance(item, SurvivalCurves):
            found[item.title] = _curves(item, columns)
    return found


def _cox(
    plan: AnalysisPlan, item: CoxModel, columns: Mapping[str, NDArray[np.float64]], pooled: Analysis
) -> str:
    exact_plan = replace(plan, estimators=(replace(item, edges=()),), subgroups=())
    (exact,) = run_plan(exact_plan, [SiteTable("all sites", columns, OpenGate())]).tables
    gridded = next(table for table in pooled.tables if (table.title, table.subgroup) == (item.title, ""))
    estimate, error = exact.columns.index("estimate"), exact.columns.index("standard error")
    distances = {
        str(mine[0]): abs(float(mine[estimate] or 0) - float(other[estimate] or 0)) / float(other[error] or 1)
        for mine, other in zip(gridded.rows, exact.rows, strict=False)
    }
    if not distances:
        return ""
    worst = max(distances, key=lambda name: distances[name])
    return (
        f"Pooled fit on the grid against exact times: largest difference {distances[worst]:.2g} standard errors "
        f"({worst})."
    )


def _curves(item: SurvivalCurves, columns: Mapping[str, NDArray[np.float64]]) -> str:
    times, events = columns[item.time], columns[item.event]
    known = np.isfinite(times) & np.isfinite(events)
    groups = np.zeros(times.size) if item.by is None else columns[item.by]
    largest = 0.0
    for group in np.unique(groups[known & np.isfinite(groups)]):
        chosen = known & (groups == group)
        own_times, own_events = times[chosen], events[chosen]
        exact = TimeGrid(tuple(float(time) for time in np.unique(own_times[own_times > 0])) or item.edges)
        fine = kaplan_meier(SurvivalTable.of(exact, own_times, own_events))
        coarse = kaplan_meier(SurvivalTable.of(TimeGrid(item.edges), own_times, own_events))
        for edge in item.edges:
            largest = max(largest, abs(fine.at(edge).value - coarse.at(edge).value))
    return f"Pooled curves on the grid against exact times: largest difference {largest:.2g} at its edges."
