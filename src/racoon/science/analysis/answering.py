"""The site's part: compute what is asked over its own rows, then let its gate decide what of it may leave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import (
    AnalysisPlan,
    Comparison,
    CoxModel,
    Description,
    Model,
    SurvivalCurves,
    parse_expression,
)
from racoon.domain.analysis.estimators import Estimator
from racoon.science.analysis.columns import Columns, codes_of, groups_of, model_columns, model_names
from racoon.science.analysis.gate import Gate, Reasons
from racoon.science.analysis.questions import Answer, Question
from racoon.science.statistics import FixedBins
from racoon.science.statistics.derivation import evaluate
from racoon.science.statistics.description import CountTable, NumberSummary
from racoon.science.statistics.regression import (
    INTERCEPT,
    Design,
    Family,
    Meat,
    ModelQuestion,
    ModelStep,
    compute_meat,
    compute_step,
)
from racoon.science.statistics.survival import (
    RiskSums,
    SurvivalRows,
    SurvivalTable,
    TimeGrid,
    compute_own_step,
    compute_risk_sums,
)

Rows = NDArray[np.bool_]


class Computed(Protocol):
    """What a site computed for one question; it holds rows and never leaves as it is."""

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Return what the gate lets out, and why the rest stays."""


@dataclass(frozen=True)
class SiteWork:
    """Everything a site computed for some questions, unprotected.

    Parameters
    ----------
    plan
        Whose questions.
    chosen
        By subgroup: which rows it has, shape (rows,); all rows under the empty name.  In the plan's order.
    computed
        One per question.
    """

    plan: AnalysisPlan
    chosen: Mapping[str, Rows]
    computed: tuple[tuple[Question, Computed], ...]


def compute_answers(plan: AnalysisPlan, questions: Sequence[Question], columns: Columns) -> SiteWork:
    """Compute what is asked, without any protection yet.

    Parameters
    ----------
    plan
        Checked plan.
    questions
        Of this plan.
    columns
        All variables of the plan over the site's rows, shape (rows,) each.

    Raises
    ------
    ValueError
        If a question is about something the plan does not have.
    """
    chosen = choose_rows(plan, columns)
    parts: dict[str, Columns] = {}
    found: list[tuple[Question, Computed]] = []
    for question in questions:
        if question.place >= len(plan.estimators) or question.subgroup not in chosen:
            raise ValueError("the plan has no such estimator or subgroup")
        if question.subgroup not in parts:
            rows = chosen[question.subgroup]
            parts[question.subgroup] = {name: values[rows] for name, values in columns.items()}
        item = plan.estimators[question.place]
        found.append((question, _compute(plan, item, question, parts[question.subgroup])))
    return SiteWork(plan, chosen, tuple(found))


def choose_rows(plan: AnalysisPlan, columns: Columns) -> dict[str, Rows]:
    """Choose the rows of each subgroup; an unknown condition does not hold."""
    levels = {item.name: item.levels for item in plan.variables if item.levels}
    rows = next(iter(columns.values())).size
    chosen = {"": np.ones(rows, np.bool_)}
    for group in plan.subgroups:
        chosen[group.name] = evaluate(parse_expression(group.condition), columns, levels) == 1
    return chosen


def judge(work: SiteWork, gate: Gate, held: Mapping[str, Reasons] | None = None) -> list[Answer]:
    """Let the site's gate decide on everything that was computed.

    Parameters
    ----------
    work
        Unprotected.
    gate
        The site's own.
    held
        Subgroups that something else than the plan itself holds back, with the reason.

    Returns
    -------
    list of Answer
        In the questions' order.
    """
    refused = dict(held or {})
    earlier: list[Rows] = []
    for name, rows in work.chosen.items():
        if reasons := refused.get(name) or (gate.subgroup(name, rows, earlier) if name else ()):
            refused[name] = reasons
        else:
            earlier.append(rows)
    least = gate.least_sites(work.plan.minimum_sites)
    answers = []
    for question, computed in work.computed:
        if reasons := refused.get(question.subgroup, ()):
            answers.append(Answer(None, reasons, least))
        else:
            value, reasons = computed.pass_through(gate)
            answers.append(Answer(value, reasons, least))
    return answers


def _compute(plan: AnalysisPlan, item: Estimator, question: Question, columns: Columns) -> Computed:
    try:
        if isinstance(item, Description):
            return _Several([_variable(plan, item.title, name, item.by, columns) for name in item.variables])
        if isinstance(item, Comparison):
            return _Several([_variable(plan, item.title, item.variable, item.by, columns)])
        if isinstance(item, SurvivalCurves):
            return _curves(plan, item, columns)
        if isinstance(item, Model):
            return _model(plan, item, question, columns)
        assert isinstance(item, CoxModel), "every estimator of the plan has a way to be computed"
        return _cox(plan, item, question, columns)
    except ValueError as error:
        return _Impossible(f"Not computed: {error}.")


@dataclass(frozen=True)
class _Impossible:
    """The rows can't be used as the plan says; the sentence names columns, never a value."""

    sentence: str

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:  # noqa: ARG002
        return None, (self.sentence,)


@dataclass(frozen=True)
class _Several:
    """Variables side by side; each is protected for itself."""

    parts: Sequence[_Numbers | _Counts]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        reasons: list[str] = []
        values = []
        for part in self.parts:
            value, why = part.pass_through(gate)
            values.append(value)
            reasons += why
        return {"variables": values}, tuple(dict.fromkeys(reasons))


@dataclass(frozen=True)
class _Numbers:
    """A numeric variable by group."""

    name: str
    groups: Sequence[tuple[NDArray[np.float64], NumberSummary]]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any], Reasons]:
        reasons: list[str] = []
        shown = []
        for values, summary in self.groups:
            protected, why = gate.numbers(self.name, values, summary)
            shown.append(protected.to_dict() if protected is not None else None)
            reasons += why
        return {"groups": shown}, tuple(reasons)


@dataclass(frozen=True)
class _Counts:
    """A table of levels by group."""

    name: str
    table: CountTable

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any], Reasons]:
        shown, reasons = gate.table(self.name, self.table)
        return {"table": shown.to_dict() if shown is not None else None}, reasons


@dataclass(frozen=True)
class _Step:
    """A model's sums, or the squared scores of its robust variance."""

    item: str
    columns: NDArray[np.float64]
    weights: NDArray[np.float64]
    step: ModelStep
    has_events: bool
    meat: Meat | None = None

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        shown, reasons = gate.model(
            self.item, self.columns, self.weights, self.step, has_events=self.has_events
        )
        if shown is None:
            return None, reasons
        return shown.to_dict() if self.meat is None else self.meat.to_dict(), reasons


@dataclass(frozen=True)
class _Tables:
    """Counts over a grid, one table per group; all or none."""

    item: str
    tables: Sequence[SurvivalTable]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        for table in self.tables:
            if reasons := gate.survival(self.item, table):
                return None, reasons
        return {"tables": [table.to_dict() for table in self.tables]}, ()


@dataclass(frozen=True)
class _Risk:
    """Risk-set sums over a grid."""

    item: str
    columns: NDArray[np.float64]
    weights: NDArray[np.float64]
    sums: RiskSums

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        shown, reasons = gate.risk_sums(self.item, self.columns, self.weights, self.sums)
        return (shown.to_dict() if shown is not None else None), reasons


def _variable(
    plan: AnalysisPlan, title: str, name: str, by: str | None, columns: Columns
) -> _Numbers | _Counts:
    variable, groups, codes = plan.variable(name), groups_of(plan, by), codes_of(by, columns)
    item = f"{title}: {name}"
    if variable.kind != "number":
        return _Counts(item, CountTable.of(groups_of(plan, name), groups, columns[name], codes))
    bins = variable.bins
    fixed = FixedBins(bins.lower, bins.upper, bins.width) if bins is not None else None
    values = [columns[name][codes == place] for place in range(len(groups))]
    return _Numbers(item, [(own, NumberSummary.of(own, fixed)) for own in values])


def _curves(plan: AnalysisPlan, item: SurvivalCurves, columns: Columns) -> _Tables:
    grid, codes = TimeGrid(item.edges), codes_of(item.by, columns)
    tables = []
    for place in range(len(groups_of(plan, item.by))):
        chosen = codes == place
        times = columns[item.time][chosen]
        rows = SurvivalRows.of((), np.empty((times.size, 0)), times, columns[item.event][chosen])
        tables.append(SurvivalTable.of(grid, rows.times, rows.events))
    return _Tables(item.title, tables)


def _model(plan: AnalysisPlan, item: Model, question: Question, columns: Columns) -> _Step:
    names, covariates = model_columns(plan, item.terms, columns)
    design = Design.of(names, covariates, columns[item.outcome])
    asked = ModelQuestion(item.family, design.names, question.coefficients, question.size)
    if len(asked.coefficients) != len(asked.names):
        raise ValueError("a question names one coefficient per column")
    step = compute_step(design, asked)
    terms = Family(item.family).terms(design.outcome, design.predictor(asked.coefficients), asked.size)
    meat = compute_meat(design, asked, by_cluster=False) if question.part == "meat" else None
    weights = np.vstack([terms.weight, terms.residual])
    return _Step(item.title, design.columns, weights, step, item.family == "binomial", meat)


def _cox(plan: AnalysisPlan, item: CoxModel, question: Question, columns: Columns) -> _Step | _Risk:
    names, covariates = model_columns(plan, item.terms, columns)
    if question.part == "meat" or len(question.coefficients) != len(names):
        raise ValueError("a question names one coefficient per column")
    rows = SurvivalRows.of(names, covariates, columns[item.time], columns[item.event])
    asked = ModelQuestion("cox", names, question.coefficients)
    weights = np.exp(rows.predictor(asked.coefficients))[None, :]
    if not item.edges:
        return _Step(item.title, rows.columns, weights, compute_own_step(rows, asked, item.ties), True)
    return _Risk(item.title, rows.columns, weights, compute_risk_sums(rows, TimeGrid(item.edges), asked))


def check_answer(plan: AnalysisPlan, question: Question, answer: Answer) -> None:
    """Check that an answer has the form its question wants, before it is added to others.

    Raises
    ------
    ValueError
        If it can't be an answer to this question.
    """
    if answer.value is None:
        return
    item, value = plan.estimators[question.place], dict(answer.value)
    try:
        if isinstance(item, (Description, Comparison)):
            names = item.variables if isinstance(item, Description) else (item.variable,)
            for name, part in zip(names, value["variables"], strict=True):
                _check_variable(plan, name, item.by, part)
        elif isinstance(item, SurvivalCurves):
            tables = [SurvivalTable.from_dict(table) for table in value["tables"]]
            if [table.grid for table in tables] != [TimeGrid(item.edges)] * len(groups_of(plan, item.by)):
                raise ValueError("an answer over another grid or other groups")
        elif question.part == "meat":
            Meat.from_dict(value)
        else:
            _check_step(plan, item, question, value)
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("an answer of another form") from error


def _check_variable(plan: AnalysisPlan, name: str, by: str | None, part: Mapping[str, Any]) -> None:
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


def _check_step(plan: AnalysisPlan, item: Estimator, question: Question, value: dict[str, Any]) -> None:
    if isinstance(item, CoxModel) and item.edges:
        sums = RiskSums.from_dict(value)
        if sums.grid != TimeGrid(item.edges) or len(sums.names) != len(question.coefficients):
            raise ValueError("an answer over another grid or other columns")
        names = sums.names
    else:
        names = ModelStep.from_dict(value).names
    assert isinstance(item, (Model, CoxModel)), "all other estimators have no steps"
    expected = model_names(plan, item.terms)
    if names != ((INTERCEPT, *expected) if isinstance(item, Model) else expected):
        raise ValueError("an answer about other columns")
