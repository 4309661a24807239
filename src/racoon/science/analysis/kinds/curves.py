"""Survival and cumulative incidence over a published grid: counts per interval, group and cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from racoon.domain.analysis import AnalysisPlan, SurvivalCurves
from racoon.domain.analysis.estimators import Incidence
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns, codes_of, groups_of
from racoon.science.analysis.computed import Tables
from racoon.science.analysis.kind import Kind, refused, table
from racoon.science.analysis.modelling import draw_survival, own_tables
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, Plot, ResultTable, Series, SiteLine
from racoon.science.statistics.survival import (
    Curve,
    SurvivalRows,
    SurvivalTable,
    TimeGrid,
    cumulative_incidence,
)


def _survival(plan: AnalysisPlan, item: SurvivalCurves, _question: Question, columns: Columns) -> Tables:
    grid, codes = TimeGrid(item.edges), codes_of(item.by, columns)
    tables = []
    for place in range(len(groups_of(plan, item.by))):
        chosen = codes == place
        times = columns[item.time][chosen]
        rows = SurvivalRows.of((), np.empty((times.size, 0)), times, columns[item.event][chosen])
        tables.append(SurvivalTable.of(grid, rows.times, rows.events))
    return Tables(item.title, tables)


def _check(
    plan: AnalysisPlan, by: str | None, edges: Sequence[float], causes: int, value: Mapping[str, Any]
) -> None:
    tables = [SurvivalTable.from_dict(document) for document in value["tables"]]
    if [found.grid for found in tables] != [TimeGrid(tuple(edges))] * len(groups_of(plan, by)):
        raise ValueError("an answer over another grid or other groups")
    if any(len(found.events) != causes for found in tables):
        raise ValueError("an answer about other causes")


def _check_survival(
    plan: AnalysisPlan, item: SurvivalCurves, _question: Question, value: Mapping[str, Any]
) -> None:
    _check(plan, item.by, item.edges, 1, value)


def _incidence(plan: AnalysisPlan, item: Incidence, _question: Question, columns: Columns) -> Tables:
    grid, codes = TimeGrid(item.edges), codes_of(item.by, columns)
    causes = len(plan.variable(item.cause).levels) - 1
    known = np.isfinite(columns[item.time]) & np.isfinite(columns[item.cause])
    if (columns[item.time][known] < 0).any():
        raise ValueError("times are not negative")
    tables = []
    for place in range(len(groups_of(plan, item.by))):
        chosen = known & (codes == place)
        tables.append(
            SurvivalTable.of(grid, columns[item.time][chosen], columns[item.cause][chosen], causes=causes)
        )
    return Tables(item.title, tables)


def _check_incidence(
    plan: AnalysisPlan, item: Incidence, _question: Question, value: Mapping[str, Any]
) -> None:
    _check(plan, item.by, item.edges, len(plan.variable(item.cause).levels) - 1, value)


INCIDENCE = ("group", "cause", "subjects", "events", "incidence at the end", "low", "high")


def _draw_incidence(inquiry: Inquiry, item: Incidence) -> ResultTable:
    groups = groups_of(inquiry.plan, item.by)
    causes = inquiry.plan.variable(item.cause).levels[1:]
    own = own_tables(inquiry.first(), len(groups), TimeGrid(item.edges))
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, INCIDENCE, reasons)
    rows: list[tuple[Cell, ...]] = []
    series: list[Series] = []
    lines: list[SiteLine] = []
    for place, group in enumerate(groups):
        merged = SurvivalTable.merge(tables[place] for tables in own.values())
        for number, cause in enumerate(causes, start=1):
            curve = cumulative_incidence(merged, number)
            name = cause if len(groups) == 1 else f"{group}: {cause}"
            end = tuple(float(values[-1]) for values in (curve.value, curve.low, curve.high))
            rows.append((group, cause, merged.n, sum(merged.events[number - 1]), *end))
            series.append(_series(name, curve))
            for site, tables in sorted(own.items()):
                alone = cumulative_incidence(tables[place], number)
                lines.append(
                    SiteLine(
                        site,
                        name,
                        tables[place].n,
                        float(alone.value[-1]),
                        float(alone.low[-1]),
                        float(alone.high[-1]),
                    )
                )
    plot = Plot("incidence", item.time, "cumulative incidence", tuple(series))
    return table(inquiry, item.title, INCIDENCE, rows, lines=tuple(lines), plots=(plot,))


def _series(name: str, curve: Curve) -> Series:
    """A step curve as points: up at the end of each interval."""

    def steps(values: Any) -> tuple[float, ...]:
        found = [0.0, 0.0]
        for value in values:
            found += [float(value), float(value)]
        return tuple(found[:-1])

    times = [0.0]
    for time in curve.times:
        times += [float(time), float(time)]
    return Series(name, tuple(times), steps(curve.value), steps(curve.low), steps(curve.high))


SURVIVAL = Kind(_survival, _check_survival, draw_survival)
CUMULATIVE_INCIDENCE = Kind(_incidence, _check_incidence, _draw_incidence)
