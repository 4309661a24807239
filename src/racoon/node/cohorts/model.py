"""From the typed cohort definition to one SQL expression over the fact tables.  Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from racoon.domain.clinical_criterion import ICD, category_of
from racoon.domain.cohort import (
    AgeCriterion,
    ClinicalCriterion,
    CohortDefinition,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
)

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}

GENDER_OF_SEX = {"F": "female", "M": "male", "O": "other"}
"""Patient's Sex (0010,0040) to administrative gender; anything else is ``unknown``."""


@dataclass(frozen=True)
class Facts:
    """The fact tables: image series, masks drawn on them, and the clinical course."""

    series: sa.Table
    mask: sa.Table
    clinical: sa.Table


def subjects_of(definition: CohortDefinition, facts: Facts) -> sa.Select[Any]:
    """Compile a definition to the select of its subjects' pseudonyms.

    Parameters
    ----------
    definition
        Inclusion is a conjunction of disjunctions, exclusion a disjunction of conjunctions.
    facts
        The fact tables.

    Returns
    -------
    sqlalchemy.Select
        One column ``pseudonym``, distinct: subjects with images or with a clinical course.
    """
    groups = sorted(definition.inclusion, key=lambda group: max(_breadth(criterion) for criterion in group))
    is_narrow = max(_breadth(criterion) for criterion in groups[0]) == 0
    first = sa.union(*(_subjects_with(criterion, facts) for criterion in groups[0])).subquery("first")
    found = sa.select(first.c.pseudonym).distinct()
    for group in groups[1:]:
        found = found.where(
            sa.or_(*(_is_among(first, criterion, facts, is_narrow=is_narrow) for criterion in group))
        )
    for group in definition.exclusion:
        found = found.where(
            sa.not_(
                sa.and_(*(_is_among(first, criterion, facts, is_narrow=is_narrow) for criterion in group))
            )
        )
    return found


def _breadth(criterion: Criterion) -> int:
    """Rank a criterion by how many subjects usually meet it: the select begins with the narrowest group."""
    if isinstance(criterion, ClinicalCriterion):
        return 0
    if isinstance(criterion, ImagingCriterion):
        return 1 if criterion.label is not None or criterion.near is not None else 2
    return 3


def _is_among(
    first: sa.FromClause, criterion: Criterion, facts: Facts, *, is_narrow: bool
) -> sa.ColumnElement[bool]:
    found = _subjects_with(criterion, facts)
    if is_narrow:
        # A few thousand subjects are looked up one by one; a set of half the patients would be worked out in vain.
        own = next(iter(found.selected_columns))
        return found.where(own == first.c.pseudonym).exists()
    # Not correlated: the database works each set out once, by the index of its own condition.
    return first.c.pseudonym.in_(found)


def matching_series(definition: CohortDefinition, facts: Facts) -> sa.Select[Any]:
    """Compile the select of the series to analyse: those of the cohort's subjects that meet its imaging criteria.

    A series belongs to the dataset when, for at least one inclusion group with imaging criteria, it meets one of
    them; when no group speaks of images, every series of the subjects belongs to it.
    """
    series = facts.series
    subjects = subjects_of(definition, facts).scalar_subquery()
    statement = sa.select(series.c.series_uid, series.c.pseudonym, series.c.study_date).where(
        series.c.pseudonym.in_(subjects)
    )
    wanted = [
        condition
        for group in definition.inclusion
        for criterion in group
        if isinstance(criterion, ImagingCriterion)
        for condition in [_series_condition(criterion, series, facts)]
    ]
    if wanted:
        statement = statement.where(sa.or_(*wanted))
    return statement.order_by(series.c.series_uid)


def _subjects_with(criterion: Criterion, facts: Facts) -> sa.Select[Any]:
    if isinstance(criterion, ClinicalCriterion):
        clinical = facts.clinical.alias()
        return sa.select(clinical.c.pseudonym).where(clinical_condition(criterion, clinical))
    fact = facts.series.alias()
    found = sa.select(fact.c.pseudonym)
    if isinstance(criterion, GenderCriterion):
        return found.where(fact.c.gender.in_(criterion.genders))
    if isinstance(criterion, AgeCriterion):
        return found.where(_age_condition(criterion, fact))
    found = found.where(_series_condition(criterion, fact, facts))
    if (criterion.min_studies or 1) > 1:
        studies = sa.func.count(fact.c.imaging_study_uid.distinct())
        found = found.group_by(fact.c.pseudonym).having(studies >= criterion.min_studies)
    return found


def clinical_condition(criterion: ClinicalCriterion, fact: sa.FromClause) -> sa.ColumnElement[bool]:
    """Compile the conditions that one clinical fact has to meet."""
    columns = fact.c
    codes = sa.or_(
        *(
            sa.and_(
                columns.category == category_of(system, code),
                columns.system == system,
                # Not LIKE: it ignores case on one of the two databases.
                sa.or_(columns.code == code, sa.func.substr(columns.code, 1, len(code) + 1) == f"{code}.")
                if system == ICD
                else columns.code == code,
            )
            for system, code in criterion.codes
        )
    )
    conditions: list[sa.ColumnElement[bool]] = [columns.kind == criterion.kind, codes]
    if criterion.minimum is not None:
        above = operator.gt if criterion.is_strict else operator.ge
        conditions.append(above(columns.value_number, criterion.minimum))
    if criterion.maximum is not None:
        below = operator.lt if criterion.is_strict else operator.le
        conditions.append(below(columns.value_number, criterion.maximum))
    if criterion.unit:
        conditions.append(columns.value_unit == criterion.unit)
    if criterion.after is not None:
        conditions.append(columns.day_number >= criterion.after.toordinal())
    if criterion.before is not None:
        conditions.append(columns.day_number <= criterion.before.toordinal())
    return sa.and_(*conditions)


def _age_condition(criterion: AgeCriterion, fact: sa.FromClause) -> sa.ColumnElement[bool]:
    compared: sa.ColumnElement[bool] = _COMPARE[criterion.comparator](fact.c.age_years, criterion.years)
    return sa.and_(fact.c.age_years.is_not(None), compared)


def _series_condition(
    criterion: ImagingCriterion, fact: sa.FromClause, facts: Facts
) -> sa.ColumnElement[bool]:
    conditions: list[sa.ColumnElement[bool]] = []
    if criterion.modality is not None:
        conditions.append(fact.c.modality == criterion.modality)
    if criterion.body_part is not None:
        conditions.append(fact.c.body_part == criterion.body_part)
    if criterion.max_slice_thickness_mm is not None:
        conditions.append(fact.c.slice_thickness_mm <= criterion.max_slice_thickness_mm)
    if criterion.label is not None:
        drawn = facts.mask.alias()
        conditions.append(
            sa.exists().where(drawn.c.series_uid == fact.c.series_uid, drawn.c.label == criterion.label)
        )
    if criterion.has_mask is not None:
        drawn = facts.mask.alias()
        has_mask = sa.exists().where(drawn.c.series_uid == fact.c.series_uid)
        conditions.append(has_mask if criterion.has_mask else sa.not_(has_mask))
    if criterion.near is not None:
        near, clinical = criterion.near, facts.clinical.alias()
        conditions.append(
            sa.exists().where(
                clinical.c.pseudonym == fact.c.pseudonym,
                clinical_condition(near.fact, clinical),
                clinical.c.day_number >= fact.c.day_number - near.days_before,
                clinical.c.day_number <= fact.c.day_number + near.days_after,
            )
        )
    return sa.and_(*conditions)
