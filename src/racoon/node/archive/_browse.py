"""Queries of the archive browser: a page of imaging studies costs four statements, whatever the archive's
size.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _assessments, _store
from racoon.node.archive._hiding import Hidden, shows_series
from racoon.node.archive.access import GRANTED, Restriction
from racoon.node.archive.model import (
    ArchiveCounts,
    FilterChoices,
    SeriesAssessment,
    SeriesRow,
    StudyDose,
    StudyFilter,
    StudyRow,
)
from racoon.standards.dicomweb.query import wildcard_to_like

MOST_ROWS = 200


def browse(
    connection: sa.Connection,
    criteria: StudyFilter,
    restriction: Restriction | None = None,
    hidden: Hidden | None = None,
) -> list[StudyRow]:
    """List imaging studies with their series, newest first; ``restriction`` is what the user's rights leave, ``hidden``
    what the user must not see yet.
    """
    study, series = _store.imaging_studies, _store.series
    query = sa.select(study).order_by(study.c.id.desc()).limit(max(1, min(criteria.limit, MOST_ROWS)))
    if restriction is not None:
        query = query.where(GRANTED)
    query = query.where(*_conditions(criteria))
    rows = connection.execute(query, restriction.parameters if restriction else {}).all()
    found: dict[int, list[SeriesRow]] = defaultdict(list)
    doses: dict[int, StudyDose] = {}
    if rows:
        ids = [row.id for row in rows]
        wanted = sa.select(series).where(series.c.study_id.in_(ids))
        if hidden is not None:
            wanted = wanted.where(shows_series(hidden))
        members = connection.execute(wanted.order_by(series.c.series_number, series.c.id)).all()
        known = _assessments.of_series(connection, [row.id for row in members])
        doses = _assessments.doses_of(connection, ids)
        for row in members:
            found[row.study_id].append(replace(_store.series_row_of(row), assessment=known.get(row.id)))
    return [
        StudyRow(
            imaging_study_uid=row.imaging_study_uid,
            pseudonym=Pseudonym(row.pseudonym),
            study_date_shifted=row.study_date,
            description=row.description,
            modalities=tuple(item for item in row.modalities.split("\\") if item),
            series_count=row.series_count,
            instance_count=row.instance_count,
            position=row.id,
            series=tuple(found[row.id]),
            dose=doses.get(row.id),
        )
        for row in rows
    ]


def _conditions(criteria: StudyFilter) -> list[sa.ColumnElement[bool]]:
    study, series = _store.imaging_studies, _store.series
    assessed, doses = _assessments.assessments, _assessments.study_doses
    found: list[sa.ColumnElement[bool]] = []
    if criteria.before is not None:
        found.append(study.c.id < criteria.before)
    if criteria.pseudonym.endswith("*"):
        found.append(study.c.pseudonym.like(wildcard_to_like(criteria.pseudonym), escape="\\"))
    elif criteria.pseudonym:
        found.append(study.c.pseudonym == criteria.pseudonym)
    if criteria.day_from:
        found.append(study.c.study_date >= criteria.day_from)
    if criteria.day_to:
        # A study without a date is in no period.
        found += [study.c.study_date <= criteria.day_to, study.c.study_date != ""]
    wanted = [
        (column, value)
        for column, value in (
            (series.c.modality, criteria.modality),
            (series.c.body_part, criteria.body_part),
            (assessed.c.kind, criteria.kind),
            (assessed.c.contrast, criteria.contrast),
            (assessed.c.plane, criteria.plane),
            (assessed.c.worst, criteria.worst),
        )
        if value
    ]
    of_series = [column == value for column, value in wanted if column.table is series]
    of_class = [column == value for column, value in wanted if column.table is assessed]
    # One series has to have all of it: "CT, arterial" is not a native CT beside an arterial MR.
    if of_class and of_series:
        both = sa.select(assessed.c.study_id).join(series, series.c.id == assessed.c.series_id)
        found.append(study.c.id.in_(both.where(*of_class, *of_series)))
    elif of_class:
        found.append(study.c.id.in_(sa.select(assessed.c.study_id).where(*of_class)))
    elif of_series:
        other = sa.alias(series)
        same = [other.c[column.name] == value for column, value in wanted]
        found.append(sa.exists().where(other.c.study_id == study.c.id, *same))
    limits = [doses.c.dlp_mgy_cm >= criteria.dlp_from_mgy_cm] if criteria.dlp_from_mgy_cm is not None else []
    limits += [doses.c.dlp_mgy_cm <= criteria.dlp_to_mgy_cm] if criteria.dlp_to_mgy_cm is not None else []
    if limits:
        found.append(study.c.id.in_(sa.select(doses.c.study_id).where(*limits)))
    return found


def choices(connection: sa.Connection) -> FilterChoices:
    """Values that occur, for the filters; each is read from an index by leaps, however many series there are."""
    series, assessed = _store.series, _assessments.assessments
    modalities = _distinct(connection, series.c.modality)
    body_parts: set[str] = set()
    for modality in modalities:
        body_parts |= set(_distinct(connection, series.c.body_part, series.c.modality == modality))
    return FilterChoices(
        tuple(item for item in modalities if item),
        tuple(sorted(body_parts - {""})),
        tuple(_distinct(connection, assessed.c.kind)),
        tuple(_distinct(connection, assessed.c.contrast)),
        tuple(_distinct(connection, assessed.c.plane)),
    )


def _distinct(
    connection: sa.Connection, column: sa.Column[str], *conditions: sa.ColumnElement[bool]
) -> list[str]:
    """Read the distinct values of an indexed column: one look-up for each value instead of a scan of all rows."""
    found: list[str] = []
    while len(found) < MOST_ROWS:
        query = sa.select(sa.func.min(column)).where(*conditions)
        if found:
            query = query.where(column > found[-1])
        value: str | None = connection.execute(query).scalar_one()
        if value is None:
            break
        found.append(value)
    return found


def assessment(connection: sa.Connection, series_id: int) -> tuple[SeriesAssessment | None, StudyDose | None]:
    """What is known of one series, and of the dose of its imaging study."""
    query = sa.select(_store.series.c.study_id).where(_store.series.c.id == series_id)
    study_id = connection.execute(query).scalar_one()
    found = _assessments.of_series(connection, [series_id])
    return found.get(series_id), _assessments.doses_of(connection, [study_id]).get(study_id)


def count(connection: sa.Connection) -> ArchiveCounts:
    """Count what the archive holds, from the counts that each imaging study and series keeps."""
    studies, series = _store.imaging_studies, _store.series
    subjects = connection.execute(sa.select(sa.func.count(sa.distinct(studies.c.pseudonym)))).scalar_one()
    study_count, instance_count = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(studies.c.instance_count), 0)).select_from(
            studies
        )
    ).one()
    series_count, size = connection.execute(
        sa.select(sa.func.count(), sa.func.coalesce(sa.func.sum(series.c.size_bytes), 0)).select_from(series)
    ).one()
    return ArchiveCounts(int(subjects), int(study_count), int(series_count), int(instance_count), int(size))
