"""Harmonised values for later estimators: CENTRAL works out what each site needs, the site harmonises its own rows.

Whoever asks chooses the numbers, so a harmonised column could be made of any mixture of its feature and covariates.
It is therefore used in sums only, and these leave only where sums of all that it is made of may leave beside whatever
the estimator puts it together with.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields

import numpy as np
from numpy.typing import NDArray

from racoon.domain.analysis import AnalysisPlan
from racoon.domain.analysis.estimators import (
    Estimator,
    Harmonisation,
    Meta,
    Prediction,
    harmonised_names,
)
from racoon.domain.analysis.terms import TermDefect, parse_term
from racoon.science.analysis.asking import Book, Inquiry, SiteLeft
from racoon.science.analysis.columns import Columns, codes_of, complete, groups_of, model_columns
from racoon.science.analysis.computed import Sums
from racoon.science.analysis.kind import values_of
from racoon.science.statistics.harmonisation import Harmonisation as Fitted
from racoon.science.statistics.harmonisation import fit_combat, harmonise, numbers_width
from racoon.science.statistics.sums import CrossProducts

Harmony = dict[str, tuple[float, ...]]
"""By site: what it needs to harmonise its rows."""


def needed_by(plan: AnalysisPlan, place: int) -> tuple[int, ...]:
    """Places of the harmonisations whose values an estimator uses, itself or by the models it names."""
    made = plan.harmonised
    if not made:
        return ()
    return tuple(sorted({made[name][0] for name in _names(plan, place) if name in made}))


def _names(plan: AnalysisPlan, place: int) -> set[str]:
    """Variables an estimator names, in terms or alone, and those of the models it builds on."""
    item = plan.estimators[place]
    texts: list[str] = []
    for part in fields(item):
        value = getattr(item, part.name)
        if part.name != "title":
            texts += [value] if isinstance(value, str) else _texts(value)
    found = {name for text in texts for name in _words(text)}
    if isinstance(item, (Meta, Prediction)):
        titles = {item.of} if isinstance(item, Meta) else {item.score, item.against}
        for other in range(place):
            if plan.estimators[other].title in titles:
                found |= _names(plan, other)
    return found


def _texts(value: object) -> list[str]:
    return [part for part in value if isinstance(part, str)] if isinstance(value, tuple) else []


def _words(text: str) -> set[str]:
    try:
        return {factor.name for factor in parse_term(text)}
    except TermDefect:  # a word of the estimator's own, like a method
        return set()


# --------------------------------------------------------------------------------------------------- at CENTRAL


def fit_harmonisation(
    inquiry: Inquiry, item: Harmonisation
) -> tuple[dict[str, CrossProducts], Fitted | None, tuple[str, ...]]:
    """Ask for the sums of a harmonisation and fit it, or say why there is none.

    Returns
    -------
    tuple
        Sums by site, the fit, and what speaks against it.
    """
    own = {site: CrossProducts.from_dict(dict(value)) for site, value in values_of(inquiry.first()).items()}
    inquiry.counted |= set(own)
    if reasons := inquiry.too_few():
        return own, None, reasons
    try:
        return own, fit_combat(own, item.features), ()
    except ValueError as error:
        return own, None, (f"Not computed: {error}.",)


def harmony_of(plan: AnalysisPlan, place: int, book: Book) -> Harmony | None:
    """Work out what each site needs for an estimator; ``None`` where it uses no harmonised value.

    All rows of a site are harmonised alike, whatever the subgroup; a site that took no part in the harmonisation has
    no harmonised values.

    Raises
    ------
    Waiting
        Before all sites have answered the harmonisation.
    """
    needed = needed_by(plan, place)
    if not needed:
        return None
    found: Harmony | None = None
    for other in needed:
        item = plan.estimators[other]
        assert isinstance(item, Harmonisation), "only a harmonisation makes harmonised values"
        fitted = _fitted(plan, other, item, book)
        own = {site: fitted.numbers(site) for site in fitted.corrections} if fitted is not None else {}
        earlier = dict.fromkeys(own, ()) if found is None else found
        found = {site: numbers + own[site] for site, numbers in earlier.items() if site in own}
    return found


def _fitted(plan: AnalysisPlan, place: int, item: Harmonisation, book: Book) -> Fitted | None:
    without: dict[str, str] = {}
    while True:
        try:
            return fit_harmonisation(Inquiry(plan, place, "", book, dict(without)), item)[1]
        except SiteLeft as left:
            without |= left.reasons


# --------------------------------------------------------------------------------------------------- at the site


def with_harmonised(
    plan: AnalysisPlan, place: int, numbers: Sequence[float], columns: Columns
) -> tuple[Columns, Sums | None]:
    """Add the harmonised columns that an estimator uses, and what has to be allowed to leave for it.

    Parameters
    ----------
    plan, place
        Which estimator.
    numbers
        Of its harmonisations, one after the other.
    columns
        Of the site, shape (rows,) each.

    Raises
    ------
    ValueError
        If the numbers are not those of its harmonisations.
    """
    needed = needed_by(plan, place)
    if not needed:
        if numbers:
            raise ValueError("the estimator uses no harmonised value")
        return columns, None
    found, start = dict(columns), 0
    used: dict[str, NDArray[np.float64]] = {}
    for other in needed:
        item = plan.estimators[other]
        assert isinstance(item, Harmonisation), "only a harmonisation makes harmonised values"
        names, covariates = model_columns(plan, item.covariates, columns)
        features = np.column_stack([columns[name] for name in item.features])
        end = start + numbers_width(len(names), len(item.features))
        values = harmonise(numbers[start:end], covariates, features)
        start = end
        found |= dict(zip(harmonised_names(item), values.T, strict=True))
        used |= dict(zip(names, covariates.T, strict=True))
        used |= {name: columns[name] for name in item.features}
    if start != len(numbers):
        raise ValueError("the numbers are those of other harmonisations")
    return found, _beside(plan, plan.estimators[place], used, _names(plan, place), columns)


def _beside(
    plan: AnalysisPlan,
    item: Estimator,
    used: dict[str, NDArray[np.float64]],
    names: set[str],
    columns: Columns,
) -> Sums:
    """Put what harmonised values are made of beside what the estimator combines them with."""
    known = complete(list(used.values()))
    for name in sorted(names & {variable.name for variable in plan.variables}):
        if plan.variable(name).kind == "number":
            used.setdefault(name, np.nan_to_num(columns[name]))
            continue
        codes = codes_of(name, columns)
        for code, level in enumerate(groups_of(plan, name)):
            used.setdefault(f"{name}={level}", (codes == code).astype(np.float64))
    matrix = np.vstack(list(used.values()))[:, known]
    title = f"{item.title}: harmonised"
    return Sums(title, matrix, np.ones((1, int(known.sum()))), len(used), (), {})
