"""Models and survival curves of a plan, from what the sites' gates let through, round by round."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, CoxModel, Model, SurvivalCurves
from racoon.science.analysis.asking import Inquiry, Waiting
from racoon.science.analysis.columns import groups_of, model_names, split_terms
from racoon.science.analysis.kind import refused, table
from racoon.science.analysis.questions import Answer, Question
from racoon.science.analysis.results import Cell, PlottedCurve, ResultTable, SiteLine
from racoon.science.statistics.estimate import z_of
from racoon.science.statistics.imputation import combine
from racoon.science.statistics.meta_analysis import Effect, synthesise
from racoon.science.statistics.regression import (
    INTERCEPT,
    FittedModel,
    Meat,
    ModelQuestion,
    ModelStep,
    Options,
    fit_lasso,
    fit_model,
)
from racoon.science.statistics.sums import unfold
from racoon.science.statistics.survival import (
    RiskSums,
    SurvivalTable,
    TimeGrid,
    kaplan_meier,
    log_rank,
    risk_path,
    step_of,
)

MODEL = ("term", "estimate", "low", "high", "ratio", "ratio low", "ratio high", "standard error", "p")


class AskedSites:
    """The sites of one fit; every answer comes from the book of the inquiry."""

    def __init__(self, inquiry: Inquiry, sites: Sequence[str], imputation: int = 0) -> None:
        self._inquiry, self._sites, self._imputation = inquiry, sites, imputation
        self._steps: dict[tuple[float, ...], dict[str, ModelStep]] = {}

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask for score and information, and add what came."""
        steps = {site: ModelStep.from_dict(dict(value)) for site, value in self._ask(question).items()}
        self._steps[question.coefficients] = steps
        return ModelStep.merge(steps.values())

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:  # noqa: ARG002 - the plan says it
        """Ask for the squared scores per row or cluster, and add what came."""
        return Meat.merge(Meat.from_dict(value) for value in self._ask(question, "meat").values())

    def steps_at(self, coefficients: NDArray[np.float64]) -> dict[str, ModelStep]:
        """Return what each site answered at some coefficients."""
        return self._steps.get(tuple(float(value) for value in coefficients), {})

    def _ask(
        self, asked: ModelQuestion, part: str = "sums", path: tuple[float, ...] = ()
    ) -> Mapping[str, Mapping[str, object]]:
        inquiry = self._inquiry
        question = Question(
            inquiry.place,
            inquiry.subgroup,
            "meat" if part == "meat" else "sums",
            asked.coefficients,
            asked.size,
            self._imputation,
            path,
        )
        answers = inquiry.again(question, self._sites)
        return {site: answer.value for site, answer in answers.items() if answer.value is not None}


class GriddedSites(AskedSites):
    """The sites of a Cox model over a published grid: risk-set sums are added before they become a step."""

    def __init__(self, inquiry: Inquiry, sites: Sequence[str], item: CoxModel) -> None:
        super().__init__(inquiry, sites)
        self._item = item
        self._sums: dict[tuple[float, ...], RiskSums] = {}

    def ask_step(self, question: ModelQuestion) -> ModelStep:
        """Ask for risk-set sums, add them, and make a step of the partial likelihood."""
        sums = {site: RiskSums.from_dict(dict(value)) for site, value in self._ask(question).items()}
        self._steps[question.coefficients] = {
            site: step_of(own, self._item.ties) for site, own in sums.items()
        }
        self._sums[question.coefficients] = RiskSums.merge(sums.values())
        return step_of(self._sums[question.coefficients], self._item.ties)

    def ask_meat(self, question: ModelQuestion, *, by_cluster: bool) -> Meat:  # noqa: ARG002 - the plan says it
        """Ask for the squared score residuals over the common risk sets, and add what came."""
        path = risk_path(self._sums[question.coefficients], self._item.ties)
        return Meat.merge(Meat.from_dict(value) for value in self._ask(question, "meat", path).values())


def fit_glm(inquiry: Inquiry, item: Model) -> ResultTable:
    """Fit a generalised linear model."""
    if item.imputations:
        return _fit_imputed(inquiry, item)
    fitted, sites, reasons = fit_for(inquiry, item)
    if fitted is None or sites is None:
        return refused(inquiry, item.title, MODEL, reasons)
    return _model_table(inquiry, item.title, fitted, sites)


def fit_for(inquiry: Inquiry, item: Model) -> tuple[FittedModel | None, AskedSites | None, tuple[str, ...]]:
    """Fit a model for its own table, or for an estimator that builds on it; or say why there is none."""
    names = (INTERCEPT, *model_names(inquiry.plan, item.terms))
    asked = inquiry.first((0.0,) * len(names))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return None, None, reasons
    sites = AskedSites(inquiry, sorted(asked))
    if item.lasso:
        return fit_lasso(sites, item.family, names, item.lasso, ridge=item.ridge), sites, ()
    return fit_model(sites, item.family, names, Options(variance=item.variance, ridge=item.ridge)), sites, ()


def _fit_imputed(inquiry: Inquiry, item: Model) -> ResultTable:
    """Fit a model to each imputed data set, all in the same rounds, and combine the fits."""
    names = (INTERCEPT, *model_names(inquiry.plan, item.terms))
    asked = inquiry.first((0.0,) * len(names))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, MODEL, reasons)
    waits: list[Waiting] = []
    fits: list[FittedModel] = []
    for number in range(1, item.imputations + 1):
        sites = AskedSites(inquiry, sorted(asked), number)
        try:
            fits.append(fit_model(sites, item.family, names, Options(ridge=item.ridge)))
        except Waiting as wait:
            waits.append(wait)
    if waits:
        raise Waiting.all_of(waits)
    failed = [note for fit in fits if not fit.has_converged for note in fit.notes]
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(names if not failed else ()):
        found = combine(
            [float(fit.coefficients[place]) for fit in fits],
            [float(fit.standard_errors[place]) for fit in fits],
            fits[0].n,
        )
        limits = (found.estimate.value, found.estimate.low, found.estimate.high)
        ratios = (None,) * 3 if item.family == "gaussian" else tuple(math.exp(value) for value in limits)
        rows.append((name, *limits, *ratios, found.standard_error, found.p))
    notes = (
        f"{item.imputations} imputations at the sites, seed {item.seed}, combined by Rubin's rules.",
        f"{fits[0].n} rows, {inquiry.rounds} rounds.",
    )
    return table(inquiry, item.title, MODEL, rows, (*dict.fromkeys(failed), *notes))


def cox_names(plan: AnalysisPlan, item: CoxModel) -> tuple[str, ...]:
    """Name the covariates of a Cox model: the fixed ones, then those that switch on in time."""
    fixed, switching = split_terms(item.terms)
    return (*model_names(plan, fixed), *(f"after({name})" for name in switching))


def fit_cox(inquiry: Inquiry, item: CoxModel) -> ResultTable:
    """Fit a Cox model, over a published grid or stratified by site."""
    names = cox_names(inquiry.plan, item)
    asked = inquiry.first((0.0,) * len(names))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, MODEL, reasons)
    order = sorted(asked)
    sites = GriddedSites(inquiry, order, item) if item.edges else AskedSites(inquiry, order)
    return _model_table(
        inquiry, item.title, fit_model(sites, "cox", names, Options(variance=item.variance)), sites
    )


def _model_table(inquiry: Inquiry, title: str, fitted: FittedModel, sites: AskedSites) -> ResultTable:
    rows: list[tuple[Cell, ...]] = []
    lines: list[SiteLine] = []
    notes: list[str] = []
    if fitted.has_converged:
        has_errors = bool(np.isfinite(fitted.covariance).all())
        if has_errors:
            lines, notes = _site_lines(fitted, sites.steps_at(fitted.coefficients))
        rows = [_model_row(fitted, name, has_errors=has_errors) for name in fitted.names]
        if fitted.family == "negative-binomial":
            notes.append(f"Dispersion (alpha): {fitted.dispersion:.4g}.")
    size = f"{fitted.n} rows, {fitted.rounds} rounds."
    return table(inquiry, title, MODEL, rows, (*fitted.notes, *notes, size), tuple(lines))


def _model_row(fitted: FittedModel, name: str, *, has_errors: bool) -> tuple[Cell, ...]:
    place, is_ratio = fitted.names.index(name), fitted.family != "gaussian"
    if not has_errors:
        value = float(fitted.coefficients[place])
        return (name, value, None, None, math.exp(value) if is_ratio else None, None, None, None, None)
    found = fitted.estimate(name)
    ratio = fitted.ratio(name) if is_ratio else None
    return (
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
    own = own_tables(inquiry.first(), len(groups), TimeGrid(item.edges))
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, SURVIVAL, reasons)
    merged = [SurvivalTable.merge(found[place] for found in own.values()) for place in range(len(groups))]
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
    for name, counts in zip(groups, merged, strict=True):
        curve = kaplan_meier(counts)
        median = curve.median()
        events = sum(sum(row) for row in counts.events)
        rows.append((name, counts.n, events, None if math.isinf(median) else median, p))
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
        SiteLine(site, name, counts.n, *_at_end(counts))
        for site, found in sorted(own.items())
        for name, counts in zip(groups, found, strict=True)
    ]
    return table(inquiry, item.title, SURVIVAL, rows, notes, tuple(lines), curves=tuple(curves))


def own_tables(answers: Mapping[str, Answer], groups: int, grid: TimeGrid) -> dict[str, list[SurvivalTable]]:
    """Read the sites' tables, one per group."""
    found = {}
    for site, answer in answers.items():
        assert answer.value is not None, "only answers with a value come here"
        tables = [SurvivalTable.from_dict(document) for document in answer.value["tables"]]
        if len(tables) != groups or any(table.grid != grid for table in tables):
            raise ValueError(f"{site} answered over another grid or other groups")
        found[site] = tables
    return found


def _at_end(counts: SurvivalTable) -> tuple[float, float, float]:
    """Survival at the end of the grid with its limits."""
    curve = kaplan_meier(counts)
    return float(curve.value[-1]), float(curve.low[-1]), float(curve.high[-1])
