"""Queries of the archive browser: a page of imaging studies costs two statements, whatever the archive's
size.
"""

from __future__ import annotations

from collections import defaultdict

import sqlalchemy as sa

from racoon.domain.identity import Pseudonym
from racoon.node.archive import _store
from racoon.node.archive.model import ArchiveCounts, SeriesRow, StudyFilter, StudyRow
from racoon.standards.dicomweb.query import wildcard_to_like


def browse(
    connection: sa.Connection, criteria: StudyFilter, restriction: sa.ColumnElement[bool] | None = None
) -> list[StudyRow]:
    """List imaging studies with their series, newest first; ``restriction`` is what the user's rights add."""
    study, series = _store.imaging_studies, _store.series
    query = sa.select(study).order_by(study.c.id.desc()).limit(max(1, min(criteria.limit, 200)))
    if restriction is not None:
        query = query.where(restriction)
    if criteria.before is not None:
        query = query.where(study.c.id < criteria.before)
    if criteria.pseudonym.endswith("*"):
        query = query.where(study.c.pseudonym.like(wildcard_to_like(criteria.pseudonym), escape="\\"))
    elif criteria.pseudonym:
        query = query.where(study.c.pseudonym == criteria.pseudonym)
    if criteria.modality or criteria.body_part:
        other = sa.alias(series)
        conditions = [other.c.study_id == study.c.id]
        conditions += [other.c.modality == criteria.modality] if criteria.modality else []
        conditions += [other.c.body_part == criteria.body_part] if criteria.body_part else []
        query = query.where(sa.exists().where(*conditions))
    rows = connection.execute(query).all()
    found: dict[int, list[SeriesRow]] = defaultdict(list)
    if rows:
        members = sa.select(series).where(series.c.study_id.in_([row.id for row in rows]))
        for row in connection.execute(members.order_by(series.c.series_number, series.c.id)):
            found[row.study_id].append(_store.series_row_of(row))
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
        )
        for row in rows
    ]


def choices(connection: sa.Connection) -> tuple[list[str], list[str]]:
    """Modalities and body parts that occur, for the filters."""
    series = _store.series
    pairs = connection.execute(sa.select(series.c.modality, series.c.body_part).distinct()).all()
    return sorted({row.modality for row in pairs} - {""}), sorted({row.body_part for row in pairs} - {""})


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
