"""From the typed cohort definition to one SQL expression over the fact tables.  Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from racoon.domain.clinical_criterion import ICD, category_of
from racoon.domain.cohort import (
    AgeCriterion,
    ClinicalCriterion,
    CohortDefinition,
    ConsentCriterion,
    Criterion,
    GenderCriterion,
    ImagingCriterion,
    MeasuredValue,
    ReportAnswer,
)

_COMPARE: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}

IN_PACS, ANNOTATED = "inPacs", "annotated"

Readable = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""Makes the condition, over a column with subjects, that ``consent`` puts on every read."""

GENDER_OF_SEX = {"F": "female", "M": "male", "O": "other"}
"""Patient's Sex (0010,0040) to administrative gender; anything else is ``unknown``."""


@dataclass(frozen=True)
class Facts:
    """The fact tables, and the moment for which they are asked.

    Parameters
    ----------
    series, mask, measured
        Image series of the archive, masks drawn and values measured on them.
    clinical
        The clinical course.
    answer, annotation
        Coded answers of signed reports; findings and signed reports at all.
    consent
        What subjects permit.
    pacs
        Series that the clinic's own system names.
    moment
        Now: consents have periods.
    """

    series: sa.Table
    mask: sa.Table
    measured: sa.Table
    clinical: sa.Table
    answer: sa.Table
    annotation: sa.Table
    consent: sa.Table
    pacs: sa.Table
    moment: datetime

    @property
    def tables(self) -> tuple[sa.Table, ...]:
        """All of them."""
        return (
            self.series,
            self.mask,
            self.measured,
            self.clinical,
            self.answer,
            self.annotation,
            self.consent,
            self.pacs,
        )


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
        is_narrow = any((criterion.label, criterion.near, criterion.measured, criterion.answered))
        return 1 if is_narrow else 2
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
        for condition in [_condition_in_archive(criterion, series, facts)]
    ]
    if wanted:
        statement = statement.where(sa.or_(*wanted))
    return statement.order_by(series.c.series_uid)


def _subjects_with(criterion: Criterion, facts: Facts) -> sa.Select[Any]:
    if isinstance(criterion, ClinicalCriterion):
        clinical = facts.clinical.alias()
        return sa.select(clinical.c.pseudonym).where(clinical_condition(criterion, clinical))
    if isinstance(criterion, ConsentCriterion):
        consent = facts.consent.alias()
        return sa.select(consent.c.pseudonym).where(_consent_condition(criterion, consent, facts.moment))
    is_in_pacs = isinstance(criterion, ImagingCriterion) and IN_PACS in criterion.available
    fact = (facts.pacs if is_in_pacs else facts.series).alias()
    found = sa.select(fact.c.pseudonym)
    if isinstance(criterion, GenderCriterion):
        return found.where(fact.c.gender.in_(criterion.genders))
    if isinstance(criterion, AgeCriterion):
        return found.where(_age_condition(criterion, fact))
    found = found.where(_known_condition(criterion, fact, facts))
    if not is_in_pacs:
        found = found.where(_archived_condition(criterion, fact, facts))
    elif _needs_archive(criterion):
        kept = facts.series.alias()
        found = found.where(
            sa.exists().where(
                kept.c.series_uid == fact.c.series_uid, _archived_condition(criterion, kept, facts)
            )
        )
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
    conditions += _limits(
        columns.value_number, criterion.minimum, criterion.maximum, is_strict=criterion.is_strict
    )
    if criterion.unit:
        conditions.append(columns.value_unit == criterion.unit)
    if criterion.after is not None:
        conditions.append(columns.day_number >= criterion.after.toordinal())
    if criterion.before is not None:
        conditions.append(columns.day_number <= criterion.before.toordinal())
    return sa.and_(*conditions)


def _measured_condition(criterion: MeasuredValue, fact: sa.FromClause) -> sa.ColumnElement[bool]:
    columns = fact.c
    conditions = [columns.biomarker == criterion.biomarker, columns.unit == criterion.unit]
    if criterion.label is not None:
        conditions.append(columns.label == criterion.label)
    conditions += _limits(columns.number, criterion.minimum, criterion.maximum, is_strict=criterion.is_strict)
    return sa.and_(*conditions)


def _limits(
    number: sa.ColumnElement[Any], minimum: float | None, maximum: float | None, *, is_strict: bool
) -> list[sa.ColumnElement[bool]]:
    above, below = (operator.gt, operator.lt) if is_strict else (operator.ge, operator.le)
    conditions = [] if minimum is None else [above(number, minimum)]
    return conditions if maximum is None else [*conditions, below(number, maximum)]


def _age_condition(criterion: AgeCriterion, fact: sa.FromClause) -> sa.ColumnElement[bool]:
    compared: sa.ColumnElement[bool] = _COMPARE[criterion.comparator](fact.c.age_years, criterion.years)
    return sa.and_(fact.c.age_years.is_not(None), compared)


def _consent_condition(
    criterion: ConsentCriterion, fact: sa.FromClause, moment: datetime
) -> sa.ColumnElement[bool]:
    today = moment.astimezone().date().isoformat()
    return sa.and_(
        fact.c.policy.in_(criterion.policies),
        fact.c.first_day <= today,
        fact.c.last_day >= today,
        sa.or_(fact.c.fresh_until.is_(None), fact.c.fresh_until > moment),
    )


def _condition_in_archive(
    criterion: ImagingCriterion, series: sa.FromClause, facts: Facts
) -> sa.ColumnElement[bool]:
    """Condition on a series of the archive, wherever its modality and day come from."""
    if IN_PACS not in criterion.available:
        return sa.and_(
            _known_condition(criterion, series, facts), _archived_condition(criterion, series, facts)
        )
    named = facts.pacs.alias()
    return sa.and_(
        sa.exists().where(
            named.c.series_uid == series.c.series_uid, _known_condition(criterion, named, facts)
        ),
        _archived_condition(criterion, series, facts),
    )


def _known_condition(
    criterion: ImagingCriterion, fact: sa.FromClause, facts: Facts
) -> sa.ColumnElement[bool]:
    """Compile what archive and clinic both know of a series: modality and day."""
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    if criterion.modality is not None:
        conditions.append(fact.c.modality == criterion.modality)
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


def _needs_archive(criterion: ImagingCriterion) -> bool:
    asked = (criterion.body_part, criterion.max_slice_thickness_mm, criterion.label, criterion.has_mask)
    is_asked = any(value is not None for value in (*asked, criterion.measured, criterion.answered))
    return is_asked or set(criterion.available) != {IN_PACS}


def _archived_condition(
    criterion: ImagingCriterion, fact: sa.FromClause, facts: Facts
) -> sa.ColumnElement[bool]:
    """Compile what only the archive knows of a series."""
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
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
    if criterion.measured is not None:
        measured = facts.measured.alias()
        conditions.append(
            sa.exists().where(
                measured.c.series_uid == fact.c.series_uid, _measured_condition(criterion.measured, measured)
            )
        )
    if criterion.answered is not None:
        answer = facts.answer.alias()
        conditions.append(
            sa.exists().where(
                answer.c.imaging_study_uid == fact.c.imaging_study_uid,
                _answered_condition(criterion.answered, answer),
            )
        )
    if ANNOTATED in criterion.available:
        marked = facts.annotation.alias()
        conditions.append(sa.exists().where(marked.c.imaging_study_uid == fact.c.imaging_study_uid))
    return sa.and_(*conditions)


def _answered_condition(criterion: ReportAnswer, fact: sa.FromClause) -> sa.ColumnElement[bool]:
    columns = fact.c
    conditions = [
        columns.question == criterion.question,
        sa.or_(
            *(sa.and_(columns.code == code, columns.system == system) for system, code in criterion.answers)
        ),
    ]
    if criterion.template:
        conditions.append(columns.template == criterion.template)
    return sa.and_(*conditions)
