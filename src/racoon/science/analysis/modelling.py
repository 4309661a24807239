"""Models and survival curves of a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from racoon.domain.analysis import AnalysisPlan, CoxModel, Model, SurvivalCurves
from racoon.science.analysis.columns import SiteTable, codes_of, groups_of, model_columns
from racoon.science.analysis.describing import Refusals
from racoon.science.analysis.results import Cell, PlottedCurve, ResultTable
from racoon.science.statistics.regression import (
    Design,
    FittedModel,
    ModelQuestion,
    Options,
    Sites,
    SitesInProcess,
    compute_step,
    fit_model,
)
from racoon.science.statistics.survival import (
    GriddedSites,
    StratifiedSites,
    SurvivalRows,
    SurvivalTable,
    TimeGrid,
    compute_own_step,
    compute_risk_sums,
    kaplan_meier,
    log_rank,
)

MODEL = ("term", "estimate", "low", "high", "ratio", "ratio low", "ratio high", "standard error", "p")


def fit_glm(plan: AnalysisPlan, item: Model, subgroup: str, sites: Sequence[SiteTable]) -> ResultTable:
    """Fit a generalised linear model."""
    refusals = Refusals(item.title)
    designs: list[Design] = []
    for site in sites:
        names, covariates = model_columns(plan, item.terms, site.columns)
        try:
            design = Design.of(names, covariates, site.columns[item.outcome])
            question = ModelQuestion(item.family, design.names, (0.0,) * len(design.names))
            reasons = site.gate.model(
                item.title,
                design.columns,
                compute_step(design, question),
                has_events=item.family == "binomial",
            )
        except ValueError as error:
            reasons = (f"Not computed: {error}.",)
        refusals.note(site.site, reasons)
        if not reasons:
            designs.append(design)
            refusals.counted.add(site.site)
    if reasons := refusals.too_few(sites, len(designs), plan.minimum_sites):
        return _refused(item.title, subgroup, MODEL, reasons, refusals)
    options = Options(variance=item.variance, ridge=item.ridge)
    fitted = fit_model(SitesInProcess(designs), item.family, designs[0].names, options)
    return _model_table(item.title, subgroup, fitted, refusals)


def fit_cox(plan: AnalysisPlan, item: CoxModel, subgroup: str, sites: Sequence[SiteTable]) -> ResultTable:
    """Fit a Cox model, over a published grid or stratified by site."""
    refusals = Refusals(item.title)
    grid = TimeGrid(item.edges) if item.edges else None
    kept: list[SurvivalRows] = []
    for site in sites:
        names, covariates = model_columns(plan, item.terms, site.columns)
        question = ModelQuestion("cox", names, (0.0,) * len(names))
        try:
            rows = SurvivalRows.of(names, covariates, site.columns[item.time], site.columns[item.event])
            if grid is None:
                step = compute_own_step(rows, question, item.ties)
                reasons = site.gate.model(item.title, rows.columns, step, has_events=True)
            else:
                sums = compute_risk_sums(rows, grid, question)
                reasons = site.gate.risk_sums(item.title, rows.columns, sums)
        except ValueError as error:
            reasons = (f"Not computed: {error}.",)
        refusals.note(site.site, reasons)
        if not reasons:
            kept.append(rows)
            refusals.counted.add(site.site)
    if reasons := refusals.too_few(sites, len(kept), plan.minimum_sites):
        return _refused(item.title, subgroup, MODEL, reasons, refusals)
    asked: Sites = GriddedSites(kept, grid, item.ties) if grid else StratifiedSites(kept, item.ties)
    return _model_table(item.title, subgroup, fit_model(asked, "cox", kept[0].names), refusals)


def _model_table(title: str, subgroup: str, fitted: FittedModel, refusals: Refusals) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    if fitted.has_converged:
        for place, name in enumerate(fitted.names):
            found, ratio = fitted.estimate(name), None
            if fitted.family != "gaussian":
                ratio = fitted.ratio(name)
            rows.append(
                (
                    name,
                    found.value,
                    found.low,
                    found.high,
                    ratio.value if ratio else None,
                    ratio.low if ratio else None,
                    ratio.high if ratio else None,
                    float(fitted.standard_errors[place]),
                    float(fitted.p_values[place]),
                )
            )
    size = f"{fitted.n} rows, {fitted.rounds} rounds."
    return ResultTable(
        title,
        subgroup,
        MODEL,
        tuple(rows),
        (*fitted.notes, size),
        tuple(sorted(refusals.refused)),
        tuple(sorted(refusals.counted)),
    )


SURVIVAL = ("group", "subjects", "events", "median", "p (log-rank)")


def draw_survival(
    plan: AnalysisPlan, item: SurvivalCurves, subgroup: str, sites: Sequence[SiteTable]
) -> ResultTable:
    """Estimate survival by group, and test the groups against each other."""
    refusals = Refusals(item.title)
    grid, groups = TimeGrid(item.edges), groups_of(plan, item.by)
    tables: list[list[SurvivalTable]] = [[] for _ in groups]
    for site in sites:
        own, reasons = _own_tables(item, grid, len(groups), site)
        refusals.note(site.site, reasons)
        if not reasons:
            refusals.counted.add(site.site)
            for place, table in enumerate(own):
                tables[place].append(table)
    if reasons := refusals.too_few(sites, len(refusals.counted), plan.minimum_sites):
        return _refused(item.title, subgroup, SURVIVAL, reasons, refusals)
    merged = [SurvivalTable.merge(parts) for parts in tables]
    p: float | None = None
    notes: tuple[str, ...] = ()
    if len(merged) > 1:
        try:
            outcome = log_rank(merged)
            p, notes = outcome.p, outcome.notes
        except ValueError as error:
            notes = (f"No log-rank test: {error}.",)
    rows: list[tuple[Cell, ...]] = []
    curves = []
    for name, table in zip(groups, merged, strict=True):
        curve = kaplan_meier(table)
        median = curve.median()
        events = sum(sum(row) for row in table.events)
        rows.append((name, table.n, events, None if math.isinf(median) else median, p))
        curves.append(
            PlottedCurve(
                name,
                tuple(float(value) for value in curve.times),
                tuple(float(value) for value in curve.value),
                tuple(float(value) for value in curve.low),
                tuple(float(value) for value in curve.high),
                tuple(int(value) for value in curve.at_risk),
            )
        )
    return ResultTable(
        item.title,
        subgroup,
        SURVIVAL,
        tuple(rows),
        notes,
        tuple(sorted(refusals.refused)),
        tuple(sorted(refusals.counted)),
        tuple(curves),
    )


def _own_tables(
    item: SurvivalCurves, grid: TimeGrid, groups: int, site: SiteTable
) -> tuple[list[SurvivalTable], tuple[str, ...]]:
    codes = codes_of(item.by, site.columns)
    found = []
    for place in range(groups):
        chosen = codes == place
        try:
            times, events = site.columns[item.time][chosen], site.columns[item.event][chosen]
            rows = SurvivalRows.of((), np.empty((times.size, 0)), times, events)
        except ValueError as error:
            return [], (f"Not computed: {error}.",)
        table = SurvivalTable.of(grid, rows.times, rows.events)
        if reasons := site.gate.survival(f"{item.title}: {site.site}", table):
            return [], reasons
        found.append(table)
    return found, ()


def _refused(
    title: str,
    subgroup: str,
    columns: tuple[str, ...],
    reasons: tuple[str, ...],
    refusals: Refusals,
) -> ResultTable:
    return ResultTable(title, subgroup, columns, (), reasons, tuple(sorted(refusals.refused)), ())
