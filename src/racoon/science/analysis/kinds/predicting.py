"""ROC, calibration, decision curve and reclassification of predicted risks, counted between published cuts."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from racoon.domain.analysis import AnalysisPlan, Model
from racoon.domain.analysis.estimators import Prediction
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns, model_columns, model_names
from racoon.science.analysis.computed import Computed, Counts, Several, Sums
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.modelling import fit_for
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, Plot, ResultTable, Series, SiteLine
from racoon.science.statistics.description import CountTable, merge_tables
from racoon.science.statistics.prediction import (
    brier_score,
    calibration,
    decision_curve,
    net_reclassification,
    roc,
)
from racoon.science.statistics.risk_table import RiskTable


def _sources(plan: AnalysisPlan, item: Prediction) -> list[tuple[str, Model | None]]:
    """Each score with the model that predicts it, if it is no variable."""
    names = {variable.name for variable in plan.variables}
    return [
        (score, None if score in names else _model_of(plan, item, score))
        for score in (item.score, item.against)
        if score is not None
    ]


def _model_of(plan: AnalysisPlan, item: Prediction, title: str) -> Model:
    earlier = plan.estimators[: plan.estimators.index(item)]
    return next(model for model in reversed(earlier) if model.title == title and isinstance(model, Model))


def _scores(
    plan: AnalysisPlan, item: Prediction, coefficients: Sequence[float], columns: Columns
) -> list[NDArray[np.float64]]:
    found, place = [], 0
    for name, model in _sources(plan, item):
        if model is None:
            found.append(columns[name])
            continue
        _, covariates = model_columns(plan, model.terms, columns)
        used = coefficients[place : place + covariates.shape[1] + 1]
        place += covariates.shape[1] + 1
        if len(used) != covariates.shape[1] + 1:
            raise ValueError("a question names one coefficient per column")
        predictor = used[0] + covariates @ np.asarray(used[1:])
        if model.offset is not None:
            predictor = predictor + columns[model.offset]
        found.append(special.expit(predictor))
    if place != len(coefficients):
        raise ValueError("a question names one coefficient per column")
    return found


def _classes(item: Prediction) -> tuple[str, ...]:
    cuts = ["0", *(f"{cut:g}" for cut in item.classes), "1"]
    return tuple(f"{low} to {high}" for low, high in itertools.pairwise(cuts))


def _compute(plan: AnalysisPlan, item: Prediction, question: Question, columns: Columns) -> Computed:
    scores, outcome = _scores(plan, item, question.coefficients, columns), columns[item.outcome]
    parts: list[Computed] = []
    for score in scores:
        counted = RiskTable.of(score, outcome, item.edges)
        known = np.isfinite(score) & np.isfinite(outcome)
        parts.append(
            Sums(
                item.title,
                outcome[None, known],
                np.ones((1, int(known.sum()))),
                1,
                (*counted.positive, *counted.negative),
                counted.to_dict(),
            )
        )
    if item.classes:
        first, second = (
            np.where(np.isnan(score), np.nan, np.searchsorted(item.classes, score, side="right"))
            for score in scores
        )
        for wanted in (1, 0):
            chosen = outcome == wanted
            levels = _classes(item)
            moved = CountTable.of(levels, levels, first[chosen], second[chosen])
            parts.append(Counts(f"{item.title}: classes", moved))
    return Several(parts)


def _check(plan: AnalysisPlan, item: Prediction, _question: Question, value: Mapping[str, Any]) -> None:
    width = len(_sources(plan, item))
    parts = value["variables"]
    if len(parts) != width + 2 * bool(item.classes):
        raise ValueError("an answer about other scores")
    for part in parts[:width]:
        if part is not None and RiskTable.from_dict(part).thresholds != item.edges:
            raise ValueError("an answer over other cuts")
    for part in parts[width:]:
        if part["table"] is not None:
            counts = CountTable.from_dict(part["table"])
            if counts.rows != _classes(item) or counts.columns != _classes(item):
                raise ValueError("an answer for other classes")


PREDICTION = ("score", "measure", "value", "low", "high", "n")


def _conclude(inquiry: Inquiry, item: Prediction) -> ResultTable:
    plan = inquiry.plan
    coefficients: list[float] = []
    for name, model in _sources(plan, item):
        if model is not None:
            fitted, _, reasons = fit_for(inquiry.about(inquiry.place_of(name)), model)
            if fitted is None or not fitted.has_converged:
                notes = reasons if fitted is None else fitted.notes
                return refused(inquiry, item.title, PREDICTION, notes)
            coefficients += [float(value) for value in fitted.coefficients]
            assert len(fitted.names) == len(model_names(plan, model.terms)) + 1, "the intercept stands first"
    values = values_of(inquiry.first(coefficients))
    rows: list[tuple[Cell, ...]] = []
    plots: list[tuple[str, Series]] = []
    lines: list[SiteLine] = []
    notes_found: list[str] = []
    sources = _sources(plan, item)
    for place, (name, _) in enumerate(sources):
        own = {
            site: RiskTable.from_dict(value["variables"][place])
            for site, value in values.items()
            if value["variables"][place] is not None
        }
        inquiry.counted |= set(own)
        if len(own) < max(inquiry.least, 1):
            return refused(
                inquiry, item.title, PREDICTION, inquiry.too_few() or ("No site may show its counts.",)
            )
        try:
            _measure(name, RiskTable.merge(own.values()), rows, plots)
        except ValueError as error:
            notes_found.append(f"Not computed: {error}.")
        lines += _lines(name, own)
    if item.classes:
        _reclassify(values, len(sources), rows, notes_found, max(inquiry.least, 1))
    if any(model is not None for _, model in sources):
        notes_found.append("The model was fitted to the same rows; its measures are optimistic.")
    return table(
        inquiry, item.title, PREDICTION, rows, tuple(notes_found), tuple(lines), plots=_together(plots)
    )


def _measure(
    name: str, counted: RiskTable, rows: list[tuple[Cell, ...]], plots: list[tuple[str, Series]]
) -> None:
    found = roc(counted)
    n = found.auc.n
    rows += [
        (name, "AUC", found.auc.value, found.auc.low, found.auc.high, n),
        (name, "AUC, bounds without cuts", None, found.auc_low, found.auc_high, n),
        (name, "Brier score", brier_score(counted), None, None, n),
    ]
    groups = calibration(counted)
    for group in groups:
        observed = group.observed
        rows.append(
            (
                name,
                f"observed at {group.predicted:.3f}",
                observed.value,
                observed.low,
                observed.high,
                observed.n,
            )
        )
    benefits = decision_curve(counted)
    for point in benefits:
        rows.append((name, f"net benefit at {point.threshold:g}", point.model, None, None, n))
    plots.append(("roc", Series(name, _floats(found.false_positive_rate), _floats(found.sensitivity))))
    plots.append(
        (
            "calibration",
            Series(
                name,
                tuple(group.predicted for group in groups),
                tuple(group.observed.value for group in groups),
                tuple(group.observed.low for group in groups),
                tuple(group.observed.high for group in groups),
                is_line=False,
            ),
        )
    )
    thresholds = tuple(point.threshold for point in benefits)
    plots.append(("decision", Series(name, thresholds, tuple(point.model for point in benefits))))
    plots.append(("decision", Series("treat all", thresholds, tuple(point.treat_all for point in benefits))))


def _floats(values: Any) -> tuple[float, ...]:
    return tuple(float(value) for value in values)


_AXES = {
    "roc": ("false positive rate", "sensitivity"),
    "calibration": ("predicted risk", "observed share"),
    "decision": ("threshold", "net benefit"),
}


def _together(plots: Sequence[tuple[str, Series]]) -> tuple[Plot, ...]:
    found = []
    for kind, (x, y) in _AXES.items():
        series = dict.fromkeys(line for name, line in plots if name == kind)
        if series:
            found.append(Plot(kind, x, y, tuple(series)))
    return tuple(found)


def _lines(name: str, own: Mapping[str, RiskTable]) -> list[SiteLine]:
    lines = []
    for site, counted in sorted(own.items()):
        try:
            auc = roc(counted).auc
        except ValueError:  # one outcome only: no curve of its own
            continue
        lines.append(SiteLine(site, f"AUC, {name}", auc.n, auc.value, auc.low, auc.high))
    return lines


def _reclassify(
    values: Mapping[str, Mapping[str, Any]],
    width: int,
    rows: list[tuple[Cell, ...]],
    notes: list[str],
    least: int,
) -> None:
    """Add net reclassification over the sites that show both tables whole."""
    pairs = []
    for value in values.values():
        documents = [part["table"] for part in value["variables"][width:]]
        if None not in documents:
            pairs.append([CountTable.from_dict(document) for document in documents])
    if len(pairs) < least:
        notes.append("Reclassification: too few sites may show their tables.")
        return
    events, others = (merge_tables([pair[place] for pair in pairs]) for place in (0, 1))
    try:
        found = net_reclassification(events, others)
    except ValueError as error:
        notes.append(f"Reclassification not computed: {error}.")
        return
    for name, part in (("events", found.events), ("others", found.others), ("both", found.total)):
        rows.append(
            ("second against first", f"net reclassification, {name}", part.value, part.low, part.high, part.n)
        )
    rows.append(("second against first", "net reclassification, p", found.p, None, None, found.total.n))


def _sort(
    plan: AnalysisPlan, item: Prediction, question: Question, columns: Columns
) -> dict[str, NDArray[np.bool_]]:
    found = {}
    outcome = columns[item.outcome]
    scores = _scores(plan, item, question.coefficients, columns)
    for (name, model), score in zip(_sources(plan, item), scores, strict=True):
        if model is None:  # the plan alone says who is counted where
            continue
        for kind, cuts in (("edge", item.edges), ("class", item.classes)):
            cells = np.where(np.isnan(score), -1, np.searchsorted(cuts, score, side="right"))
            for cell in range(len(cuts) + 1 if cuts else 0):
                for wanted in (0, 1):
                    found[f"{name} {kind} {cell} {wanted}"] = (cells == cell) & (outcome == wanted)
    return found


PREDICTIONS = Kind(_compute, _check, _conclude, _sort)
