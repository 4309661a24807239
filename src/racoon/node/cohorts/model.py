"""From the typed cohort definition to one SQL expression over the fact tables.  Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

from racoon.domain.cohort import AgeCriterion, CohortDefinition, Criterion, GenderCriterion, ImagingCriterion

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}

GENDER_OF_SEX = {"F": "female", "M": "male", "O": "other"}
"""Patient's Sex (0010,0040) to administrative gender; anything else is ``unknown``."""


def subjects_of(definition: CohortDefinition, series: sa.Table, mask: sa.Table) -> sa.Select[Any]:
    """Compile a definition to the select of its subjects' pseudonyms.

    Parameters
    ----------
    definition
        Inclusion is a conjunction of disjunctions, exclusion a disjunction of conjunctions.
    series, mask
        The fact tables.

    Returns
    -------
    sqlalchemy.Select
        One column ``pseudonym``, distinct.
    """
    subject = series.alias("subject")
    condition = sa.and_(
        *(
            sa.or_(*(_holds(criterion, subject, series, mask) for criterion in group))
            for group in definition.inclusion
        )
    )
    if definition.exclusion:
        excluded = sa.or_(
            *(
                sa.and_(*(_holds(criterion, subject, series, mask) for criterion in group))
                for group in definition.exclusion
            )
        )
        condition = sa.and_(condition, sa.not_(excluded))
    return sa.select(subject.c.pseudonym).distinct().where(condition)


def matching_series(definition: CohortDefinition, series: sa.Table, mask: sa.Table) -> sa.Select[Any]:
    """Compile the select of the series to analyse: those of the cohort's subjects that meet its imaging criteria.

    A series belongs to the dataset when, for at least one inclusion group with imaging criteria, it meets one of
    them; when no group speaks of images, every series of the subjects belongs to it.
    """
    subjects = subjects_of(definition, series, mask).scalar_subquery()
    statement = sa.select(series.c.series_uid, series.c.pseudonym, series.c.study_date).where(
        series.c.pseudonym.in_(subjects)
    )
    wanted = [
        condition
        for group in definition.inclusion
        for criterion in group
        if isinstance(criterion, ImagingCriterion)
        for condition in [_series_condition(criterion, series, mask)]
    ]
    if wanted:
        statement = statement.where(sa.or_(*wanted))
    return statement.order_by(series.c.series_uid)


def _holds(
    criterion: Criterion, subject: sa.FromClause, series: sa.Table, mask: sa.Table
) -> sa.ColumnElement[bool]:
    fact = series.alias()
    if isinstance(criterion, ImagingCriterion):
        condition = _series_condition(criterion, fact, mask)
    elif isinstance(criterion, GenderCriterion):
        condition = fact.c.gender.in_(criterion.genders)
    else:
        condition = _age_condition(criterion, fact)
    return sa.exists().where(fact.c.pseudonym == subject.c.pseudonym, condition)


def _age_condition(criterion: AgeCriterion, fact: sa.FromClause) -> sa.ColumnElement[bool]:
    compared: sa.ColumnElement[bool] = _COMPARE[criterion.comparator](fact.c.age_years, criterion.years)
    return sa.and_(fact.c.age_years.is_not(None), compared)


def _series_condition(
    criterion: ImagingCriterion, fact: sa.FromClause, mask: sa.Table
) -> sa.ColumnElement[bool]:
    conditions: list[sa.ColumnElement[bool]] = []
    if criterion.modality is not None:
        conditions.append(fact.c.modality == criterion.modality)
    if criterion.body_part is not None:
        conditions.append(fact.c.body_part == criterion.body_part)
    if criterion.max_slice_thickness_mm is not None:
        conditions.append(fact.c.slice_thickness_mm <= criterion.max_slice_thickness_mm)
    if criterion.label is not None:
        drawn = mask.alias()
        conditions.append(
            sa.exists().where(drawn.c.series_uid == fact.c.series_uid, drawn.c.label == criterion.label)
        )
    return sa.and_(*conditions)
