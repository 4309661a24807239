"""Balanced comparisons: a federated propensity model, then weights or pairs at each site."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.estimators import Propensity
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns, complete, model_columns, model_names
from racoon.science.analysis.computed import Computed, Step, Sums
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.modelling import AskedSites
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, ResultTable, SiteLine
from racoon.science.statistics.estimate import p_of_z, z_of
from racoon.science.statistics.exact import Dyadic
from racoon.science.statistics.propensity import (
    WeightedMoments,
    balance,
    match_pairs,
    treatment_weights,
)
from racoon.science.statistics.regression import (
    INTERCEPT,
    Design,
    Family,
    ModelQuestion,
    ModelStep,
    Options,
    compute_step,
    fit_model,
)
from racoon.science.statistics.sums import add_all, exact_column_sums

_OWN = ("w", "wy", "ww", "wwy", "wwyy", "n", "d", "dd")
"""Sums per group: weights, weighted outcome, squared weights with outcome, rows; of pairs: difference and square."""


def _rows(
    plan: AnalysisPlan, item: Propensity, columns: Columns
) -> tuple[tuple[str, ...], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Covariates (rows, columns), treatment and outcome of the complete rows."""
    names, matrix = model_columns(plan, item.terms, columns)
    known = complete([*matrix.T, columns[item.treatment], columns[item.outcome]])
    return names, matrix[known], columns[item.treatment][known], columns[item.outcome][known]


def _compute(plan: AnalysisPlan, item: Propensity, question: Question, columns: Columns) -> Computed:
    names, matrix, treated, outcome = _rows(plan, item, columns)
    if len(question.coefficients) != len(names) + 1 or question.part not in {"sums", "second"}:
        raise ValueError("a question names one coefficient per column")
    design = Design.of(names, matrix, treated)
    predictor = design.predictor(question.coefficients)
    if question.part == "sums":
        asked = ModelQuestion("binomial", design.names, question.coefficients)
        terms = Family("binomial").terms(treated, predictor, 1.0)
        weights = np.vstack([terms.weight, terms.residual])
        return Step(item.title, design.columns, weights, compute_step(design, asked), True)
    return _second(plan, item, (matrix, treated, outcome, predictor))


def _order(rows: tuple[NDArray[np.float64], ...]) -> NDArray[np.intp]:
    """Among equal propensities chance decides who is whose partner; it lies in the rows, not in their order."""
    given = np.column_stack([rows[0], *rows[1:]])
    return np.array(sorted(range(len(given)), key=lambda row: sha256(given[row].tobytes()).digest()), np.intp)


def _second(plan: AnalysisPlan, item: Propensity, rows: tuple[NDArray[np.float64], ...]) -> Computed:
    order = _order(rows)
    matrix, treated, outcome, predictor = (part[order] for part in rows)
    if item.method == "iptw":
        weights = treatment_weights(special.expit(predictor), treated, item.estimand, item.trim)
        differences = np.zeros(treated.size)
    else:
        pairs = match_pairs(predictor, treated, item.caliper)
        weights, differences = np.zeros(treated.size), np.zeros(treated.size)
        weights[pairs.ravel()] = 1.0
        differences[pairs[:, 0]] = outcome[pairs[:, 0]] - outcome[pairs[:, 1]]
    groups, cells = [], []
    is_truth = plan.variable(item.outcome).kind == "truth"
    for wanted in (1, 0):
        here = treated == wanted
        w, y, x, d = weights[here], outcome[here], matrix[here], differences[here]
        own = np.column_stack([w, w * y, w * w, w * w * y, w * w * y * y, np.ones(w.size), d, d * d])
        groups.append(
            {
                "own": _texts(own),
                "weighted": _texts(np.hstack([w[:, None] * x, w[:, None] * x * x])),
                "plain": _texts(np.hstack([x, x * x])),
            }
        )
        used = int((w > 0).sum())
        cells += [used, *((int((y[w > 0] == 1).sum()), int((y[w > 0] == 0).sum())) if is_truth else ())]
        cells.append(int(here.sum()) - used)
    kinds = np.vstack([weights * (treated == 1), weights * (treated == 0)])
    columns = np.vstack([matrix.T, treated, outcome])
    return Sums(item.title, columns, kinds, matrix.shape[1] + 1, tuple(cells), {"groups": groups})


def _texts(matrix: NDArray[np.float64]) -> list[str]:
    return [str(value) for value in exact_column_sums(matrix)]


def _check(plan: AnalysisPlan, item: Propensity, question: Question, value: Mapping[str, Any]) -> None:
    names = model_names(plan, item.terms)
    if question.part == "sums":
        if ModelStep.from_dict(dict(value)).names != (INTERCEPT, *names):
            raise ValueError("an answer about other columns")
        return
    if len(value["groups"]) != 2:
        raise ValueError("an answer for other groups")
    for group in value["groups"]:
        for key, count in (("own", len(_OWN)), ("weighted", 2 * len(names)), ("plain", 2 * len(names))):
            if len(_numbers(group[key])) != count:
                raise ValueError("an answer about other columns")


def _numbers(texts: Sequence[str]) -> tuple[Dyadic, ...]:
    return tuple(Dyadic.from_text(text) for text in texts)


PROPENSITY = ("part", "name", "value", "low", "high", "p")


def _conclude(inquiry: Inquiry, item: Propensity) -> ResultTable:
    names = model_names(inquiry.plan, item.terms)
    columns = (INTERCEPT, *names)
    asked = inquiry.first((0.0,) * len(columns))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, PROPENSITY, reasons)
    sites = AskedSites(inquiry, sorted(asked))
    fitted = fit_model(sites, "binomial", columns, Options())
    if not fitted.has_converged:
        return table(inquiry, item.title, PROPENSITY, [], fitted.notes)
    coefficients = tuple(float(value) for value in fitted.coefficients)
    second = Question(inquiry.place, inquiry.subgroup, "second", coefficients)
    values = values_of(inquiry.again(second, sorted(asked)))
    added = [_add([value["groups"][place] for value in values.values()]) for place in (0, 1)]
    is_truth = inquiry.plan.variable(item.outcome).kind == "truth"
    rows, notes = _effects(item, added, is_truth=is_truth)
    for place, name in enumerate(names):
        rows += _balance(name, place, len(names), added)
    lines = []
    for site, value in sorted(values.items()):
        own = [_add([group]) for group in value["groups"]]
        found, _ = _effects(item, own, is_truth=is_truth)
        _, word, effect, low, high, _ = found[0]
        n = round(own[0]["own"][5] + own[1]["own"][5])
        lines.append(SiteLine(site, str(word), n, _number(effect), _number(low), _number(high)))
    return table(inquiry, item.title, PROPENSITY, rows, notes, tuple(lines))


def _number(cell: Cell) -> float | None:
    return cell if isinstance(cell, float) else None


def _add(groups: Sequence[Mapping[str, Any]]) -> dict[str, list[float]]:
    found: dict[str, tuple[Dyadic, ...]] = {}
    for group in groups:
        for key in ("own", "weighted", "plain"):
            numbers = _numbers(group[key])
            found[key] = numbers if key not in found else add_all(found[key], numbers)
    return {key: [float(value) for value in values] for key, values in found.items()}


def _effects(
    item: Propensity, added: Sequence[Mapping[str, list[float]]], *, is_truth: bool
) -> tuple[list[tuple[Cell, ...]], tuple[str, ...]]:
    means, variances, sizes = [], [], []
    for group in added:
        w, wy, ww, wwy, wwyy, _, _, _ = group["own"]
        mean = wy / w if w > 0 else math.nan
        means.append(mean)
        variances.append(max(wwyy - 2 * mean * wwy + mean**2 * ww, 0.0) / w**2 if w > 0 else math.nan)
        sizes.append(w**2 / ww if item.method == "iptw" and ww > 0 else w)
    treated, others = means
    variance = sum(variances)
    if item.method == "matching":
        pairs, total, squares = added[0]["own"][0], added[0]["own"][6], added[0]["own"][7]
        variance = max(squares - total**2 / pairs, 0.0) / (pairs - 1) / pairs if pairs > 1 else math.nan
    word = "risk difference" if is_truth else "mean difference"
    rows: list[tuple[Cell, ...]] = [("effect", word, *_interval(treated - others, variance))]
    if is_truth and 0 < treated < 1 and 0 < others < 1:
        # Delta method; for pairs the two groups count as independent, which is the cautious way.
        log_variance = variances[0] / treated**2 + variances[1] / others**2
        rows.append(
            ("effect", "risk ratio", *_interval(math.log(treated / others), log_variance, exponential=True))
        )
        odds = math.log(treated / (1 - treated)) - math.log(others / (1 - others))
        odds_variance = (
            variances[0] / (treated * (1 - treated)) ** 2 + variances[1] / (others * (1 - others)) ** 2
        )
        rows.append(("effect", "odds ratio", *_interval(odds, odds_variance, exponential=True)))
    rows += [
        ("group", "treated: mean", treated, None, None, None),
        ("group", "not treated: mean", others, None, None, None),
        ("group", "treated: rows", added[0]["own"][5], None, None, None),
        ("group", "not treated: rows", added[1]["own"][5], None, None, None),
    ]
    if item.method == "iptw":
        rows.append(("group", "treated: effective size", sizes[0], None, None, None))
        rows.append(("group", "not treated: effective size", sizes[1], None, None, None))
        return rows, ("Standard errors are robust and take the propensities as known.",)
    rows.append(("group", "pairs", added[0]["own"][0], None, None, None))
    return rows, ("Pairs were made within each site.",)


def _interval(
    value: float, variance: float, *, exponential: bool = False
) -> tuple[float | None, float | None, float | None, float | None]:
    if not variance > 0:
        return (math.exp(value) if exponential else value), None, None, None
    error = math.sqrt(variance)
    reach = z_of(0.95) * error
    limits = (value, value - reach, value + reach)
    found = tuple(math.exp(limit) for limit in limits) if exponential else limits
    return found[0], found[1], found[2], p_of_z(value / error)


def _balance(
    name: str, place: int, width: int, added: Sequence[Mapping[str, list[float]]]
) -> list[tuple[Cell, ...]]:
    plain = [
        WeightedMoments.of(group["own"][5], group["plain"][place], group["plain"][width + place])
        for group in added
    ]
    weighted = [
        WeightedMoments.of(group["own"][0], group["weighted"][place], group["weighted"][width + place])
        for group in added
    ]
    spread = math.sqrt((plain[0].variance + plain[1].variance) / 2)
    before, after = (balance(treated, others, spread) for treated, others in (plain, weighted))
    return [
        ("balance", f"{name}: SMD before", None if math.isnan(before) else before, None, None, None),
        ("balance", f"{name}: SMD after", None if math.isnan(after) else after, None, None, None),
    ]


def _sort(
    plan: AnalysisPlan, item: Propensity, question: Question, columns: Columns
) -> dict[str, NDArray[np.bool_]]:
    if question.part != "second" or item.method != "matching":
        return {}
    names, matrix, treated, outcome = _rows(plan, item, columns)
    predictor = Design.of(names, matrix, treated).predictor(question.coefficients)
    order = _order((matrix, treated, outcome, predictor))
    pairs = order[match_pairs(predictor[order], treated[order], item.caliper)]
    known = np.flatnonzero(
        complete(
            [*model_columns(plan, item.terms, columns)[1].T, columns[item.treatment], columns[item.outcome]]
        )
    )
    found = {}
    for place, name in enumerate(("paired treated", "paired others")):
        found[name] = np.zeros(columns[item.treatment].size, np.bool_)
        found[name][known[pairs[:, place]]] = True
    return found


PROPENSITIES = Kind(_compute, _check, _conclude, _sort)
