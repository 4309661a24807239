"""Generalised linear and Cox models: score and information at asked coefficients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan, CoxModel, Model
from racoon.domain.analysis.terms import parse_term
from racoon.science.analysis.columns import Columns, complete, model_columns, model_names, split_terms
from racoon.science.analysis.computed import Computed, Risk, Step
from racoon.science.analysis.kind import Kind
from racoon.science.analysis.modelling import cox_names, fit_cox, fit_glm
from racoon.science.analysis.questions import Question
from racoon.science.statistics.imputation import Column, impute
from racoon.science.statistics.regression import (
    INTERCEPT,
    Design,
    Family,
    Meat,
    ModelQuestion,
    ModelStep,
    cluster_sums,
    compute_meat,
    compute_step,
)
from racoon.science.statistics.survival import (
    Episodes,
    RiskSums,
    SurvivalRows,
    TimeGrid,
    compute_episode_step,
    compute_own_step,
    compute_risk_sums,
    grid_residuals,
    own_residuals,
    robust_meat,
)


def design_of(plan: AnalysisPlan, item: Model, columns: Columns) -> Design:
    """Build the rows of a model at a site."""
    names, covariates = model_columns(plan, item.terms, columns)
    outcome = columns[item.outcome]
    offset = None if item.offset is None else columns[item.offset]
    if item.cluster is None:
        return Design.of(names, covariates, outcome, offset=offset)
    clusters = columns[item.cluster]
    outcome = np.where(np.isfinite(clusters), outcome, np.nan)
    codes = np.unique(clusters, return_inverse=True)[1]
    return Design.of(names, covariates, outcome, offset=offset, clusters=codes)


def imputed(plan: AnalysisPlan, item: Model, columns: Columns, number: int) -> Columns:
    """Fill in what the model needs and does not know."""
    names = {factor.name for term in item.terms for factor in parse_term(term)} | {item.outcome}
    levels = {name: len(plan.variable(name).levels) for name in names}
    wanted = {
        name: Column(columns[name], levels[name] or 2 * (plan.variable(name).kind == "truth"))
        for name in sorted(names)
    }
    return {**columns, **impute(wanted, item.seed, number)}


def _model(plan: AnalysisPlan, item: Model, question: Question, columns: Columns) -> Computed:
    if question.imputation > item.imputations:
        raise ValueError("the plan asks for fewer imputations")
    if question.imputation:
        columns = imputed(plan, item, columns, question.imputation)
    design = design_of(plan, item, columns)
    asked = ModelQuestion(item.family, design.names, question.coefficients, question.size)
    if question.part not in {"sums", "meat"} or len(asked.coefficients) != len(asked.names):
        raise ValueError("a question names one coefficient per column")
    step = compute_step(design, asked)
    terms = Family(item.family).terms(design.outcome, design.predictor(asked.coefficients), asked.size)
    meat = None
    if question.part == "meat":
        meat = compute_meat(design, asked, by_cluster=item.variance == "clustered")
    weights = np.vstack([terms.weight, terms.residual])
    return Step(item.title, design.columns, weights, step, item.family == "binomial", meat)


def _model_scores(
    plan: AnalysisPlan, item: Model, question: Question, columns: Columns
) -> NDArray[np.float64]:
    design = design_of(plan, item, columns)
    family = Family(item.family)
    residual = family.terms(design.outcome, design.predictor(question.coefficients), question.size).residual
    others = [columns[name] for name in (item.outcome, item.offset, item.cluster) if name is not None]
    known = complete([*model_columns(plan, item.terms, columns)[1].T, *others])
    clusters = design.clusters if item.variance == "clustered" else None
    return _at_rows(known, design.columns * (design.weights * residual), clusters)


def _at_rows(
    known: NDArray[np.bool_], scores: NDArray[np.float64], clusters: NDArray[np.intp] | None
) -> NDArray[np.float64]:
    """Put scores of complete rows, or of clusters at their first row, at their places among all rows."""
    places = np.flatnonzero(known)
    summed = cluster_sums(scores, clusters)
    if clusters is not None and summed.shape[1] < places.size:
        places = places[np.unique(clusters, return_index=True)[1]]
    found = np.zeros((scores.shape[0], known.size))
    found[:, places] = summed
    return found


def _check_model(plan: AnalysisPlan, item: Model, question: Question, value: Mapping[str, Any]) -> None:
    if question.part == "meat":
        Meat.from_dict(value)
    elif ModelStep.from_dict(dict(value)).names != (INTERCEPT, *model_names(plan, item.terms)):
        raise ValueError("an answer about other columns")


def episodes_of(plan: AnalysisPlan, item: CoxModel, columns: Columns) -> Episodes:
    """Cut the follow-up of a site's subjects where a covariate switches on."""
    fixed, switching = split_terms(item.terms)
    _, covariates = model_columns(plan, fixed, columns)
    rows = columns[item.time].size
    turns = np.column_stack([columns[name] for name in switching]) if switching else np.zeros((rows, 0))
    return Episodes.of(cox_names(plan, item), covariates, turns, columns[item.time], columns[item.event])


def survival_rows(plan: AnalysisPlan, item: CoxModel, columns: Columns) -> SurvivalRows:
    """Build the rows of a Cox model at a site."""
    names, covariates = model_columns(plan, item.terms, columns)
    clusters = None if item.cluster is None else columns[item.cluster]
    return SurvivalRows.of(names, covariates, columns[item.time], columns[item.event], clusters)


def _cox(plan: AnalysisPlan, item: CoxModel, question: Question, columns: Columns) -> Computed:
    names = cox_names(plan, item)
    if question.part not in {"sums", "meat"} or len(question.coefficients) != len(names):
        raise ValueError("a question names one coefficient per column")
    asked = ModelQuestion("cox", names, question.coefficients)
    if split_terms(item.terms)[1]:
        episodes = episodes_of(plan, item, columns)
        weights = np.exp(episodes.predictor(asked.coefficients))[None, :]
        step = compute_episode_step(episodes, asked, item.ties)
        return Step(item.title, _per_subject(episodes), weights, step, True)
    rows = survival_rows(plan, item, columns)
    weights = np.exp(rows.predictor(asked.coefficients))[None, :]
    grid = TimeGrid(item.edges) if item.edges else None
    meat = None
    if question.part == "meat":
        residuals = _residuals(rows, item, question)
        by_cluster = item.variance == "clustered"
        meat = robust_meat(rows, residuals, by_cluster=by_cluster)
        # Whoever asks may choose hazards that leave one subject, or one cluster, in the squares.
        weights = _side_by_side(weights, residuals)
        if by_cluster:
            weights = _side_by_side(weights, cluster_sums(residuals, rows.clusters))
    if grid is None:
        return Step(item.title, rows.columns, weights, compute_own_step(rows, asked, item.ties), True, meat)
    return Risk(item.title, rows.columns, weights, compute_risk_sums(rows, grid, asked), meat)


def _residuals(rows: SurvivalRows, item: CoxModel, question: Question) -> NDArray[np.float64]:
    asked = ModelQuestion("cox", rows.names, question.coefficients)
    if not item.edges:
        return own_residuals(rows, asked, item.ties)
    return grid_residuals(rows, TimeGrid(item.edges), asked, question.path)


def _cox_scores(
    plan: AnalysisPlan, item: CoxModel, question: Question, columns: Columns
) -> NDArray[np.float64]:
    rows = survival_rows(plan, item, columns)
    others = [columns[name] for name in (item.time, item.event, item.cluster) if name is not None]
    known = complete([*model_columns(plan, item.terms, columns)[1].T, *others])
    clusters = rows.clusters if item.variance == "clustered" else None
    return _at_rows(known, _residuals(rows, item, question), clusters)


def _side_by_side(weights: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put what clusters weigh below what rows weigh; there are never more clusters than rows."""
    missing = weights.shape[1] - other.shape[1]
    return np.vstack([weights, np.pad(other, ((0, 0), (0, missing)))])


def _per_subject(episodes: Episodes) -> NDArray[np.float64]:
    """Covariates at the end of each subject's follow-up: whoever ever switched counts once."""
    last = np.append(episodes.starts[1:] < 0, True) if episodes.starts.size else np.zeros(0, np.bool_)
    return np.asarray(episodes.columns[:, last])


def _check_cox(plan: AnalysisPlan, item: CoxModel, question: Question, value: Mapping[str, Any]) -> None:
    if question.part == "meat":
        width = len(question.coefficients)
        if len(Meat.from_dict(value).products) != width * (width + 1) // 2:
            raise ValueError("an answer about other columns")
        return
    if not item.edges:
        names = ModelStep.from_dict(dict(value)).names
    else:
        sums = RiskSums.from_dict(value)
        if sums.grid != TimeGrid(item.edges) or len(sums.names) != len(question.coefficients):
            raise ValueError("an answer over another grid or other columns")
        names = sums.names
    if names != cox_names(plan, item):
        raise ValueError("an answer about other columns")


MODEL = Kind(_model, _check_model, fit_glm, scores=_model_scores)
COX = Kind(_cox, _check_cox, fit_cox, scores=_cox_scores)
