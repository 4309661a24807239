"""Models and survival curves of a plan, from what the sites' gates let through, round by round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import CoxModel, Model, SurvivalCurves
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import groups_of, model_names
from racoon.science.analysis.questions import Answer, Question
from racoon.science.analysis.results import Cell, PlottedCurve, ResultTable, SiteLine
from racoon.science.statistics.estimate import z_of
from racoon.science.statistics.meta_analysis import Effect, synthesise
from racoon.science.statistics.regression import (
    INTERCEPT,
    FittedModel,
    Meat,
    ModelQuestion,
    ModelStep,
    Options,
    fit_model,
)
from racoon.science.statistics.sums import unfold
from racoon.science.statistics.survival import (
    RiskSums,
    SurvivalTable,
    TimeGrid,
    kaplan_meier,
    log_rank,
    step_of,
)

MODEL = ("term", "estimate", "low", "high", "ratio", "ratio low", "ratio high", "standard error", "p")


class _AskedSites:
    """The sites of one fit; every answer comes from the book of the inquiry."""

    def __init__(self, inquiry: Inquiry, sites: Sequence[str]) -> None:
        self._inquiry, self._sites = inquiry, sites
        self._steps: dict[tuple[float, ...], dict[str, ModelStep]] = {}

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask for score and information, and add what came."""
        steps = {site: ModelStep.from_dict(dict(value)) for site, value in self._ask(question).items()}
        self._steps[question.coefficients] = steps
        return ModelStep.merge(steps.values())

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:
        """Ask for the squared scores per row, and add what came."""
        if by_cluster:
            raise ValueError("a plan has one row per subject; there are no clusters")
        return Meat.merge(Meat.from_dict(value) for value in self._ask(question, "meat").values())

    def steps_at(self, coefficients: NDArray[np.float64]) -> dict[str, ModelStep]:
        """Return what each site answered at some coefficients."""
        return self._steps.get(tuple(float(value) for value in coefficients), {})

    def _ask(self, asked: ModelQuestion, part: str = "sums") -> Mapping[str, Mapping[str, object]]:
        inquiry = self._inquiry
        question = Question(
            inquiry.place,
            inquiry.subgroup,
            "meat" if part == "meat" else "sums",
            asked.coefficients,
            asked.size,
        )
        answers = inquiry.again(question, self._sites)
        return {site: answer.value for site, answer in answers.items() if answer.value is not None}


class _GriddedSites(_AskedSites):
    """The sites of a Cox model over a published grid: risk-set sums are added before they become a step."""

    def __init__(self, inquiry: Inquiry, sites: Sequence[str], item: CoxModel) -> None:
        super().__init__(inquiry, sites)
        self._item = item

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask for risk-set sums, add them, and make a step of the partial likelihood."""
        sums = {site: RiskSums.from_dict(dict(value)) for site, value in self._ask(question).items()}
        self._steps[question.coefficients] = {
            site: step_of(own, self._item.ties) for site, own in sums.items()
        }
        return step_of(RiskSums.merge(sums.values()), self._item.ties)


def fit_glm(inquiry: Inquiry, item: Model) -> ResultTable:
    """Fit a generalised linear model."""
    names = (INTERCEPT, *model_names(inquiry.plan, item.terms))
    asked = inquiry.first((0.0,) * len(names))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return _refused(inquiry, item.title, MODEL, reasons)
    sites = _AskedSites(inquiry, sorted(asked))
    fitted = fit_model(sites, item.family, names, Options(variance=item.variance, ridge=item.ridge))
    return _model_table(inquiry, item.title, fitted, sites)


def fit_cox(inquiry: Inquiry, item: CoxModel) -> ResultTable:
    """Fit a Cox model, over a published grid or stratified by site."""
    names = model_names(inquiry.plan, item.terms)
    asked = inquiry.first((0.0,) * len(names))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return _refused(inquiry, item.title, MODEL, reasons)
    order = sorted(asked)
    sites = _GriddedSites(inquiry, order, item) if item.edges else _AskedSites(inquiry, order)
    return _model_table(inquiry, item.title, fit_model(sites, "cox", names), sites)


def _model_table(inquiry: Inquiry, title: str, fitted: FittedModel, sites: _AskedSites) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    lines: list[SiteLine] = []
    notes: list[str] = []
    if fitted.has_converged:
        lines, notes = _site_lines(fitted, sites.steps_at(fitted.coefficients))
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
        inquiry.subgroup,
        MODEL,
        tuple(rows),
        (*fitted.notes, *notes, size),
        inquiry.withheld,
        inquiry.sites,
        per_site=tuple(lines),
        rounds=inquiry.rounds,
    )


def _site_lines(fitted: FittedModel, steps: Mapping[str, ModelStep]) -> tuple[list[SiteLine], list[str]]:
    """Estimate each site's own model by one Newton step from the common fit, and compare them.

    A Gaussian model's own estimate is exact after one step; others are as good as a fit to the second order.
    """
    lines: list[SiteLine] = []
    effects: dict[str, list[Effect]] = {name: [] for name in fitted.names if name != INTERCEPT}
    reach = z_of(fitted.level)
    for site, step in sorted(steps.items()):
        own = _own_estimate(fitted, step)
        if own is None:
            continue
        values, errors = own
        for name, value, error in zip(fitted.names, map(float, values), map(float, errors), strict=True):
            if name != INTERCEPT:
                lines.append(
                    SiteLine(site, name, step.n, value, value - reach * error, value + reach * error)
                )
                effects[name].append(Effect(site, value, error**2))
    notes = []
    for name, found in effects.items():
        if len(found) >= 2:
            summary = synthesise(found, "dersimonian-laird")
            notes.append(
                f"{name}: meta-analysis of the sites {summary.pooled.value:.4g} "
                f"({summary.pooled.low:.4g} to {summary.pooled.high:.4g}), I² {summary.i2:.0f} %."
            )
    return lines, notes


def _own_estimate(
    fitted: FittedModel, step: ModelStep
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    information = unfold(step.information, len(step.names))
    scale = np.sqrt(np.diag(information))
    if not (scale > 0).all():
        return None
    scaled = information / np.outer(scale, scale)
    if np.linalg.cond(scaled) > 1e8:  # beyond it a site has no estimate of its own
        return None
    inverse = np.linalg.inv(scaled) / np.outer(scale, scale)
    score = np.array([float(value) for value in step.score])
    change = inverse @ score
    spread = 1.0
    if fitted.family == "gaussian":
        freedom = step.n - len(step.names)
        if freedom < 1:
            return None
        spread = max(-2 * float(step.rest[0]) - float(score @ change), 0.0) / freedom
    errors = np.sqrt(spread * np.diag(inverse))
    values = fitted.coefficients + change
    return (values, errors) if (errors > 0).all() and np.isfinite(values).all() else None


SURVIVAL = ("group", "subjects", "events", "median", "p (log-rank)")


def draw_survival(inquiry: Inquiry, item: SurvivalCurves) -> ResultTable:
    """Estimate survival by group, and test the groups against each other."""
    groups = groups_of(inquiry.plan, item.by)
    own = _own_tables(inquiry.first(), len(groups), TimeGrid(item.edges))
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return _refused(inquiry, item.title, SURVIVAL, reasons)
    merged = [SurvivalTable.merge(tables[place] for tables in own.values()) for place in range(len(groups))]
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
    lines = [
        SiteLine(site, name, table.n, *_at_end(table))
        for site, tables in sorted(own.items())
        for name, table in zip(groups, tables, strict=True)
    ]
    return ResultTable(
        item.title,
        inquiry.subgroup,
        SURVIVAL,
        tuple(rows),
        notes,
        inquiry.withheld,
        inquiry.sites,
        tuple(curves),
        per_site=tuple(lines),
        rounds=inquiry.rounds,
    )


def _own_tables(answers: Mapping[str, Answer], groups: int, grid: TimeGrid) -> dict[str, list[SurvivalTable]]:
    found = {}
    for site, answer in answers.items():
        assert answer.value is not None, "only answers with a value come here"
        tables = [SurvivalTable.from_dict(document) for document in answer.value["tables"]]
        if len(tables) != groups or any(table.grid != grid for table in tables):
            raise ValueError(f"{site} answered over another grid or other groups")
        found[site] = tables
    return found


def _at_end(table: SurvivalTable) -> tuple[float, float, float]:
    """Survival at the end of the grid with its limits."""
    curve = kaplan_meier(table)
    return float(curve.value[-1]), float(curve.low[-1]), float(curve.high[-1])


def _refused(inquiry: Inquiry, title: str, columns: tuple[str, ...], reasons: tuple[str, ...]) -> ResultTable:
    return ResultTable(
        title,
        inquiry.subgroup,
        columns,
        (),
        reasons,
        inquiry.withheld,
        (),
        rounds=inquiry.rounds,
    )
