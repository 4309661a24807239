"""Differences between sites: the mixed model with a site intercept, and ComBat harmonisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.estimators import Harmonisation, MixedModel, harmonised_names
from racoon.science.analysis.asking import Inquiry
from racoon.science.analysis.columns import Columns, model_columns, model_names
from racoon.science.analysis.computed import Computed, Step
from racoon.science.analysis.harmonising import fit_harmonisation
from racoon.science.analysis.kind import Kind, refused, table, values_of
from racoon.science.analysis.kinds.relations import check_products, cross_products
from racoon.science.analysis.modelling import MODEL, AskedSites
from racoon.science.analysis.questions import Question
from racoon.science.analysis.results import Cell, ResultTable, SiteLine
from racoon.science.statistics.estimate import p_of_z, z_of
from racoon.science.statistics.mixed import fit_mixed
from racoon.science.statistics.mixed_glm import (
    SITE_SD,
    START,
    CountFamily,
    compute_site_step,
    fit_site_glm,
)
from racoon.science.statistics.regression import INTERCEPT, Design, Family, ModelStep
from racoon.science.statistics.sums import CrossProducts


def _named(plan: AnalysisPlan, terms: tuple[str, ...], others: tuple[str, ...], columns: Columns) -> Columns:
    names, matrix = model_columns(plan, terms, columns)
    return {**dict(zip(names, matrix.T, strict=True)), **{name: columns[name] for name in others}}


def _mix(plan: AnalysisPlan, item: MixedModel, question: Question, columns: Columns) -> Computed:
    if item.family != "gaussian":
        names, covariates = model_columns(plan, item.terms, columns)
        design = Design.of(names, covariates, columns[item.outcome])
        step = compute_site_step(design, item.family, question.coefficients)
        terms = Family(item.family).terms(design.outcome, design.predictor(question.coefficients[:-1]), 1.0)
        weights = np.vstack([terms.weight, terms.residual])
        return Step(item.title, design.columns, weights, step, item.family == "binomial")
    named = _named(plan, item.terms, (item.outcome,), columns)
    return cross_products(item.title, (*model_names(plan, item.terms), item.outcome), named)


def _check_mixed(plan: AnalysisPlan, item: MixedModel, _question: Question, value: Mapping[str, Any]) -> None:
    if item.family == "gaussian":
        check_products((*model_names(plan, item.terms), item.outcome), value)
    elif ModelStep.from_dict(dict(value)).names != (INTERCEPT, *model_names(plan, item.terms), SITE_SD):
        raise ValueError("an answer about other columns")


MIXED = ("term", "estimate", "low", "high", "standard error", "p")


def _conclude_site_glm(inquiry: Inquiry, item: MixedModel, family: CountFamily) -> ResultTable:
    names = (INTERCEPT, *model_names(inquiry.plan, item.terms))
    asked = inquiry.first((*(0.0,) * len(names), START))
    inquiry.counted |= set(asked)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, MODEL, reasons)
    fitted = fit_site_glm(AskedSites(inquiry, sorted(asked)), family, names)
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(names if fitted.has_converged else ()):
        value, deviation = float(fitted.coefficients[place]), float(np.sqrt(fitted.covariance[place, place]))
        reach = z_of(0.95) * deviation
        limits = (value, value - reach, value + reach)
        ratios = tuple(float(np.exp(limit)) for limit in limits)
        rows.append((name, *limits, *ratios, deviation, p_of_z(value / deviation)))
    if fitted.has_converged:
        rows.append(("SD of the sites", fitted.site_sd, *(None,) * 7))
    size = f"{fitted.n} rows, {inquiry.rounds} rounds."
    return table(inquiry, item.title, MODEL, rows, (*fitted.notes, size))


def _conclude_mixed(inquiry: Inquiry, item: MixedModel) -> ResultTable:
    if item.family != "gaussian":
        return _conclude_site_glm(inquiry, item, item.family)
    own = {site: CrossProducts.from_dict(dict(value)) for site, value in values_of(inquiry.first()).items()}
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return refused(inquiry, item.title, MIXED, reasons)
    try:
        fitted = fit_mixed(own, likelihood=item.likelihood)
    except ValueError as error:
        text = str(error)
        is_dependent = text.startswith("linearly dependent")
        note = f"L{text[1:]}." if is_dependent else f"Not computed: {text}."
        return table(inquiry, item.title, MIXED, [], (note,))
    rows: list[tuple[Cell, ...]] = []
    for place, name in enumerate(fitted.names):
        found = fitted.estimate(name)
        deviation = float(np.sqrt(fitted.covariance[place, place]))
        rows.append((name, found.value, found.low, found.high, deviation, fitted.p_value(name)))
    rows.append(("variance between sites", fitted.between, None, None, None, None))
    rows.append(("residual variance", fitted.within, None, None, None, None))
    rows.append(("intraclass correlation", fitted.intraclass_correlation, None, None, None, None))
    lines = tuple(
        SiteLine(site, "site effect", own[site].n, effect)
        for site, effect in sorted(fitted.site_effects.items())
    )
    return table(inquiry, item.title, MIXED, rows, fitted.notes, lines)


def _harmonise(plan: AnalysisPlan, item: Harmonisation, _question: Question, columns: Columns) -> Computed:
    named = _named(plan, item.covariates, item.features, columns)
    return cross_products(item.title, (*model_names(plan, item.covariates), *item.features), named)


def _check_harmonisation(
    plan: AnalysisPlan, item: Harmonisation, _question: Question, value: Mapping[str, Any]
) -> None:
    check_products((*model_names(plan, item.covariates), *item.features), value)


HARMONISATION = (
    "site",
    "feature",
    "n",
    "mean before",
    "mean after",
    "sd before",
    "sd after",
    "shift",
    "sd factor",
)


def _conclude_harmonisation(inquiry: Inquiry, item: Harmonisation) -> ResultTable:
    own, fitted, reasons = fit_harmonisation(inquiry, item)
    if fitted is None:
        return refused(inquiry, item.title, HARMONISATION, reasons)
    changes = fitted.changes(own)
    rows: list[tuple[Cell, ...]] = []
    lines: list[SiteLine] = []
    for change in changes:
        rows.append(
            (
                change.site,
                change.feature,
                own[change.site].n,
                change.mean_before,
                change.mean_after,
                change.sd_before,
                change.sd_after,
                change.shift,
                change.sd_factor,
            )
        )
        lines.append(
            SiteLine(
                change.site,
                f"{change.feature} (after)",
                own[change.site].n,
                change.mean_after,
                change.mean_after - change.sd_after,
                change.mean_after + change.sd_after,
            )
        )
    spread = [
        f"{feature}: spread of the site means {before:.4g} before and {after:.4g} after harmonisation."
        for feature, before, after in fitted.spread_of_means(changes)
    ]
    if item.suffix:
        made = ", ".join(harmonised_names(item))
        spread.append(f"Harmonised values, for later estimators: {made}.")
    return table(inquiry, item.title, HARMONISATION, rows, tuple(spread), tuple(lines))


MIXED_MODEL = Kind(_mix, _check_mixed, _conclude_mixed)
COMBAT = Kind(_harmonise, _check_harmonisation, _conclude_harmonisation)
