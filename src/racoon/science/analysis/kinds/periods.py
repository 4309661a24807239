"""Interrupted time series: subjects per period, added over the sites, then one segmented regression."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.estimators import TimeSeries
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns
from racoon.science.analysis.computed import Computed, Counts, Several
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, Plot, ResultTable, Series, SiteLine
from racoon.science.statistics.description import CountTable, merge_tables
from racoon.science.statistics.estimate import Estimate
from racoon.science.statistics.time_series import interrupted_time_series


def _levels(item: TimeSeries) -> tuple[tuple[str, ...], tuple[str, ...]]:
    return tuple(str(period) for period in range(item.periods)), ("no", "yes") if item.outcome else ("all",)


def _compute(_plan: AnalysisPlan, item: TimeSeries, _question: Question, columns: Columns) -> Computed:
    period = columns[item.period]
    known = np.isfinite(period)
    if (period[known] != np.floor(period[known])).any():
        raise ValueError(f"{item.period} must hold whole numbers of periods")
    inside = known & (period >= 0) & (period < item.periods)
    rows, groups = _levels(item)
    codes = None if item.outcome is None else columns[item.outcome][inside]
    return Several([Counts(item.title, CountTable.of(rows, groups, period[inside], codes))])


def _check(_plan: AnalysisPlan, item: TimeSeries, _question: Question, value: Mapping[str, Any]) -> None:
    (part,) = value["variables"]
    if part["table"] is not None:
        counts = CountTable.from_dict(part["table"])
        if (counts.rows, counts.columns) != _levels(item):
            raise ValueError("an answer for other periods")


SERIES = ("part", "value", "low", "high", "p")


def _conclude(inquiry: Inquiry, item: TimeSeries) -> ResultTable:
    own: dict[str, CountTable] = {}
    for site, value in values_of(inquiry.first()).items():
        document = value["variables"][0]["table"]
        shown = None if document is None else CountTable.from_dict(document)
        if shown is not None and shown.is_complete:
            own[site] = shown
        elif document is not None:
            inquiry.refused.add((site, "A period holds too few subjects for a time series."))
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, SERIES, reasons)
    counts = merge_tables(own.values()).counts.astype(np.float64)
    totals = counts.sum(axis=1)
    try:
        if item.outcome is not None and (totals == 0).any():
            raise ValueError("a share needs subjects in every period")
        observed = counts[:, 0] if item.outcome is None else counts[:, 1] / totals
        found = interrupted_time_series(
            observed, item.interruption, log_scale=item.log_scale, season=item.season or None
        )
    except ValueError as error:
        return table(inquiry, item.title, SERIES, [], (f"Not computed: {error}.",))
    p = dict(zip(found.names, found.p_values, strict=True))
    rows: list[tuple[Cell, ...]] = [
        ("level change", *_limits(found.level_change), float(p["level change"])),
        ("trend change per period", *_limits(found.trend_change), float(p["trend change"])),
        ("relative level change, per cent", *_limits(found.relative_change), None),
        ("trend before, per period", float(found.coefficients[1]), None, None, float(p["trend"])),
        ("autocorrelation", found.autocorrelation, None, None, None),
    ]
    places = tuple(float(period) for period in range(item.periods))
    plot = Plot(
        "time-series",
        "period",
        "subjects" if item.outcome is None else "share",
        (
            Series("observed", places, tuple(map(float, observed)), is_line=False),
            Series("fitted", places, tuple(map(float, found.fitted))),
            Series("without the interruption", places, tuple(map(float, found.expected))),
        ),
    )
    lines = []
    for site, part in sorted(own.items()):
        n = int(part.counts.sum())
        mean = float(part.counts[:, 1].sum()) / n if item.outcome is not None and n else float(n)
        lines.append(SiteLine(site, "all periods", n, mean))
    return table(inquiry, item.title, SERIES, rows, found.notes, tuple(lines), plots=(plot,))


def _limits(found: Estimate) -> tuple[float | None, float | None, float | None]:
    value, low, high = (None if np.isnan(part) else part for part in (found.value, found.low, found.high))
    return value, low, high


TIME_SERIES = Kind(_compute, _check, _conclude)
