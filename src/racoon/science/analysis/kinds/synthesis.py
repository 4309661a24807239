"""What builds on other estimators: a meta-analysis of the sites' own models, and corrected p values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from racoon.domain.analysis import AnalysisPlan, CoxModel, Model
from racoon.domain.analysis.estimators import Estimator, Meta, Multiplicity
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns, split_terms
from racoon.science.analysis.computed import Computed
from racoon.science.analysis.gate import Gate, Reasons
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.kinds.models import COX, MODEL, design_of, episodes_of, survival_rows
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, Plot, ResultTable, Series, SiteLine
from racoon.science.statistics.comparisons import adjust_p_values
from racoon.science.statistics.estimate import z_of
from racoon.science.statistics.meta_analysis import (
    Effect,
    Synthesis,
    funnel_test,
    leave_one_out,
    synthesise,
)
from racoon.science.statistics.regression import FittedModel, Options, SitesInProcess, fit_model
from racoon.science.statistics.survival import EpisodeSites, StratifiedSites

_FUNNEL = 10
"""Below this many effects a funnel plot is not tested."""


@dataclass(frozen=True)
class _Own:
    """A site's own estimate; it leaves if the sums of the model at that estimate may."""

    sums: Computed
    value: Mapping[str, Any]

    def pass_through(self, gate: Gate) -> tuple[dict[str, Any] | None, Reasons]:
        """Let the gate decide on the sums the estimate was made of."""
        shown, reasons = self.sums.pass_through(gate)
        return (None if shown is None else dict(self.value)), reasons


def _of(plan: AnalysisPlan, item: Meta, place: int) -> tuple[int, Model | CoxModel]:
    for found in range(place - 1, -1, -1):
        other = plan.estimators[found]
        if other.title == item.of and isinstance(other, (Model, CoxModel)):
            return found, other
    raise ValueError("the plan has no such model")


def _meta(plan: AnalysisPlan, item: Meta, question: Question, columns: Columns) -> Computed:
    if question.part != "own":
        raise ValueError("a meta-analysis asks for a site's own estimate")
    _, model = _of(plan, item, question.place)
    fitted = _own_fit(plan, model, columns)
    if item.term not in fitted.names:
        raise ValueError("the model has no such column")
    if not fitted.has_converged or not np.isfinite(fitted.covariance).all():
        raise ValueError("the model has no estimate at this site alone")
    place = fitted.names.index(item.term)
    asked = Question(0, coefficients=tuple(float(value) for value in fitted.coefficients), size=_size(fitted))
    kind = MODEL if isinstance(model, Model) else COX
    value = {
        "value": float(fitted.coefficients[place]),
        "variance": float(fitted.covariance[place, place]),
        "n": fitted.n,
    }
    return _Own(kind.compute(plan, model, asked, columns), value)


def _size(fitted: FittedModel) -> float:
    return 1 / fitted.dispersion if fitted.family == "negative-binomial" else 1.0


def _own_fit(plan: AnalysisPlan, model: Model | CoxModel, columns: Columns) -> FittedModel:
    if isinstance(model, Model):
        design = design_of(plan, model, columns)
        options = Options(variance=model.variance, ridge=model.ridge)
        return fit_model(SitesInProcess([design]), model.family, design.names, options)
    if split_terms(model.terms)[1]:
        episodes = episodes_of(plan, model, columns)
        return fit_model(EpisodeSites([episodes], model.ties), "cox", episodes.names)
    rows = survival_rows(plan, model, columns)
    return fit_model(StratifiedSites([rows], model.ties), "cox", rows.names, Options(variance=model.variance))


def _check_meta(_plan: AnalysisPlan, _item: Meta, _question: Question, value: Mapping[str, Any]) -> None:
    Effect("site", float(value["value"]), float(value["variance"]))
    if int(value["n"]) < 1:
        raise ValueError("an estimate of nobody")


META = ("effect", "estimate", "low", "high", "ratio", "ratio low", "ratio high", "weight")


def _conclude_meta(inquiry: Inquiry, item: Meta) -> ResultTable:
    values = values_of(inquiry.first(part="own"))
    inquiry.counted |= set(values)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, META, reasons)
    _, model = _of(inquiry.plan, item, inquiry.place)
    is_ratio = not (isinstance(model, Model) and model.family == "gaussian")
    effects = [
        Effect(site, float(value["value"]), float(value["variance"]))
        for site, value in sorted(values.items())
    ]
    found = synthesise(effects, item.method, hartung_knapp=item.hartung_knapp)
    reach = z_of(0.95)
    rows: list[tuple[Cell, ...]] = []
    lines = []
    for effect, weight in zip(effects, found.weights, strict=True):
        half = reach * math.sqrt(effect.variance)
        limits = (effect.value, effect.value - half, effect.value + half)
        rows.append((effect.name, *limits, *_ratios(limits, is_ratio=is_ratio), weight))
        lines.append(SiteLine(effect.name, item.term, int(values[effect.name]["n"]), *limits))
    pooled = (found.pooled.value, found.pooled.low, found.pooled.high)
    rows.append(("pooled", *pooled, *_ratios(pooled, is_ratio=is_ratio), 100.0))
    if not math.isnan(found.prediction.low):
        rows.append(
            ("prediction interval", None, found.prediction.low, found.prediction.high, None, None, None, None)
        )
    if len(effects) > 2:
        for name, without in leave_one_out(effects, item.method, hartung_knapp=item.hartung_knapp):
            part = without.pooled
            rows.append((f"without {name}", part.value, part.low, part.high, None, None, None, None))
    errors = tuple(math.sqrt(effect.variance) for effect in effects)
    funnel = Series("sites", tuple(effect.value for effect in effects), errors, is_line=False)
    centre = Series("pooled", (found.pooled.value,) * 2, (0.0, max(errors)))
    plot = Plot("funnel", "estimate", "standard error", (funnel, centre))
    return table(inquiry, item.title, META, rows, _spread(found, effects), tuple(lines), plots=(plot,))


def _ratios(limits: tuple[float, float, float], *, is_ratio: bool) -> tuple[float | None, ...]:
    return tuple(math.exp(limit) for limit in limits) if is_ratio else (None, None, None)


def _spread(found: Synthesis, effects: list[Effect]) -> tuple[str, ...]:
    notes = [f"τ² {found.tau2:.4g}, I² {found.i2:.0f} %, Q {found.q:.4g}, p {found.q_p:.3g}."]
    if len(effects) >= _FUNNEL:
        notes.append(f"Egger's test of the funnel: p {funnel_test(effects).p:.3g}.")
    elif len(effects) > 1:
        notes.append("Too few sites to test the funnel for asymmetry.")
    return tuple(notes)


def _nothing(_plan: AnalysisPlan, _item: Multiplicity, _question: Question, _columns: Columns) -> Computed:
    raise ValueError("corrected p values ask nothing of a site")


def _no_answer(
    _plan: AnalysisPlan, _item: Multiplicity, _question: Question, _value: Mapping[str, Any]
) -> None:
    raise ValueError("corrected p values ask nothing of a site")


MULTIPLICITY = ("estimator", "test", "p", "adjusted p")


def multiplicity(conclude: Callable[[Inquiry, Estimator], ResultTable]) -> Kind:
    """Make the kind of corrected p values.

    Parameters
    ----------
    conclude
        Concludes any estimator of the plan.
    """

    def correct(inquiry: Inquiry, item: Multiplicity) -> ResultTable:
        found: list[tuple[str, str, float]] = []
        for title in item.of:
            place = inquiry.place_of(title)
            other = inquiry.about(place)
            result = conclude(other, inquiry.plan.estimators[place])
            inquiry.refused |= other.refused
            inquiry.counted |= other.counted
            found += _p_values(title, result)
        if not found:
            return table(inquiry, item.title, MULTIPLICITY, [], ("None of these estimators has a p value.",))
        adjusted = adjust_p_values([p for _, _, p in found], item.method)
        rows: list[tuple[Cell, ...]] = [
            (title, name, p, own) for (title, name, p), own in zip(found, adjusted, strict=True)
        ]
        note = f"{len(rows)} p values corrected by the method {item.method}."
        return table(inquiry, item.title, MULTIPLICITY, rows, (note,))

    return Kind(_nothing, _no_answer, correct)


def _p_values(title: str, result: ResultTable) -> list[tuple[str, str, float]]:
    if "p (log-rank)" in result.columns:
        rows = result.rows[:1]  # the same test stands in every group's row
        return [(title, "log-rank test", row[-1]) for row in rows if isinstance(row[-1], float)]
    if "p" not in result.columns:
        return []
    place = result.columns.index("p")
    return [
        (title, str(row[0]), cell)
        for row in result.rows
        if isinstance(cell := row[place], float) and not math.isnan(cell) and row[0] != "(intercept)"
    ]


META_ANALYSIS = Kind(_meta, _check_meta, _conclude_meta)
