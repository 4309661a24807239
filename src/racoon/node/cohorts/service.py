"""What one may ask about cohorts at this node."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from racoon.domain.cohort import CohortDefinition
from racoon.domain.identity import Pseudonym
from racoon.node.cohorts._recording import (
    MeasuredFact,
    forget,
    forget_finding,
    forget_subject,
    record,
    record_clinical,
    record_consent,
    record_finding,
    record_measured,
    record_report,
)
from racoon.node.cohorts._store import (
    annotation_fact,
    answer_fact,
    clinical_fact,
    consent_fact,
    mask_fact,
    measured_fact,
    pacs_fact,
    series_fact,
)
from racoon.node.cohorts.columns import ColumnCopy
from racoon.node.cohorts.model import Facts, Readable, matching_series, subjects_of
from racoon.platform import clock

__all__ = [
    "ClinicalFact",
    "CohortSeries",
    "ColumnCopy",
    "MeasuredFact",
    "Readable",
    "SeriesOfSubject",
    "SubjectFeatures",
    "clinical_fact",
    "clinical_facts",
    "count_subjects",
    "days_of_series",
    "fact_tables",
    "facts_of_series",
    "features",
    "forget",
    "forget_finding",
    "forget_subject",
    "members",
    "record",
    "record_clinical",
    "record_consent",
    "record_finding",
    "record_measured",
    "record_report",
    "refresh",
    "select_series",
]


def fact_tables() -> Facts:
    """Return the fact tables, for now."""
    return Facts(
        series_fact,
        mask_fact,
        measured_fact,
        clinical_fact,
        answer_fact,
        annotation_fact,
        consent_fact,
        pacs_fact,
        clock.now(),
    )


@dataclass(frozen=True)
class CohortSeries:
    """One series of a cohort with the SEG series drawn on it, and its shifted Study Date, ``YYYYMMDD``."""

    series_uid: str
    pseudonym: Pseudonym
    mask_series_uids: tuple[str, ...]
    day_shifted: str = ""


@dataclass(frozen=True)
class SeriesOfSubject:
    """What one image series says about its subject: age at the examination, and gender."""

    series_uid: str
    age_years: float | None
    gender: str


@dataclass(frozen=True)
class SubjectFeatures:
    """What is known of a subject by the first of some series: by day, then by UID; empty or None where it is not.

    Parameters
    ----------
    scanner
        Manufacturer and model.
    """

    pseudonym: Pseudonym
    gender: str
    age_years: float | None
    modality: str
    body_part: str
    slice_thickness_mm: float | None
    scanner: str


@dataclass(frozen=True)
class ClinicalFact:
    """One code of a diagnosis, value, procedure or medication of a subject.

    Parameters
    ----------
    pseudonym
        Subject.
    kind, system, code
        What it is.
    day_number
        Shifted day, counted from 0001-01-01; ``None`` when unknown.
    value_number, value_unit
        Of an observation.
    """

    pseudonym: Pseudonym
    kind: str
    system: str
    code: str
    day_number: int | None
    value_number: float | None
    value_unit: str


def count_subjects(connection: sa.Connection, definition: CohortDefinition, readable: Readable) -> int:
    """Count the subjects of a cohort, exactly; only ``release`` may let a protected form of it leave.

    Parameters
    ----------
    connection
        Open connection.
    definition
        The cohort.
    readable
        Condition of ``consent``: who may not be read is not counted.
    """
    found = subjects_of(definition, fact_tables()).subquery()
    statement = sa.select(sa.func.count()).select_from(found).where(readable(found.c.pseudonym))
    return int(connection.execute(statement).scalar_one())


def refresh(connection: sa.Connection, columns: ColumnCopy) -> None:
    """Make the copy in columns anew where it is missing or too old."""
    if not columns.is_fresh(clock.now()):
        columns.refresh(connection, fact_tables())


def members(
    connection: sa.Connection,
    definition: CohortDefinition,
    readable: Readable,
    columns: ColumnCopy | None = None,
) -> frozenset[Pseudonym]:
    """Return the readable subjects of a cohort, for ``release``, which counts and compares them and shows none.

    Parameters
    ----------
    connection
        Open connection.
    definition, readable
        The cohort, and the condition of ``consent``.
    columns
        Where the facts are looked up instead of in the database.
    """
    if columns is not None:
        return columns.members(connection, definition, fact_tables(), readable)
    found = subjects_of(definition, fact_tables()).subquery()
    statement = sa.select(found.c.pseudonym).where(readable(found.c.pseudonym))
    return frozenset(Pseudonym(name) for name in connection.execute(statement).scalars())


def select_series(
    connection: sa.Connection, definition: CohortDefinition, readable: Readable
) -> list[CohortSeries]:
    """Return the readable series of a cohort, each with the masks drawn on it, sorted by UID."""
    statement = matching_series(definition, fact_tables())
    found = connection.execute(statement.where(readable(series_fact.c.pseudonym))).all()
    masks: dict[str, set[str]] = {}
    for row in connection.execute(sa.select(mask_fact.c.series_uid, mask_fact.c.mask_series_uid).distinct()):
        masks.setdefault(row.series_uid, set()).add(row.mask_series_uid)
    return [
        CohortSeries(
            row.series_uid,
            Pseudonym(row.pseudonym),
            tuple(sorted(masks.get(row.series_uid, ()))),
            row.study_date,
        )
        for row in found
    ]


def facts_of_series(connection: sa.Connection, series_uids: Collection[str]) -> list[SeriesOfSubject]:
    """Return what the fact table knows about the subjects of some series."""
    columns = series_fact.c
    wanted = set(series_uids)
    statement = sa.select(columns.series_uid, columns.age_years, columns.gender)
    return [SeriesOfSubject(*row) for row in connection.execute(statement) if row.series_uid in wanted]


def imaging_days(
    connection: sa.Connection, subjects: Collection[Pseudonym]
) -> dict[Pseudonym, dict[str, int | None]]:
    """Return of some subjects their imaging studies with the shifted day, counted from 0001-01-01."""
    columns, wanted = series_fact.c, sorted(subjects)
    found: dict[Pseudonym, dict[str, int | None]] = {}
    for start in range(0, len(wanted), 500):
        statement = sa.select(columns.pseudonym, columns.imaging_study_uid, columns.day_number).where(
            columns.pseudonym.in_(wanted[start : start + 500])
        )
        for row in connection.execute(statement):
            found.setdefault(Pseudonym(row.pseudonym), {})[row.imaging_study_uid] = row.day_number
    return found


def features(connection: sa.Connection, series_uids: Collection[str]) -> dict[Pseudonym, SubjectFeatures]:
    """Return what is known of the subjects of some series, by subject."""
    columns, wanted = series_fact.c, sorted(series_uids)
    rows: list[sa.Row[Any]] = []
    for start in range(0, len(wanted), 500):
        query = sa.select(series_fact).where(columns.series_uid.in_(wanted[start : start + 500]))
        rows += connection.execute(query).all()
    found: dict[Pseudonym, SubjectFeatures] = {}
    for row in sorted(rows, key=lambda row: (row.day_number is None, row.day_number, row.series_uid)):
        known = SubjectFeatures(
            Pseudonym(row.pseudonym),
            row.gender,
            row.age_years,
            row.modality,
            row.body_part,
            row.slice_thickness_mm,
            row.scanner,
        )
        found.setdefault(known.pseudonym, known)
    return found


def clinical_facts(connection: sa.Connection, subjects: Collection[Pseudonym]) -> list[ClinicalFact]:
    """Return the clinical facts of some subjects, days shifted as in their images."""
    columns = clinical_fact.c
    wanted = sorted(subjects)
    found = []
    for start in range(0, len(wanted), 500):
        statement = sa.select(
            columns.pseudonym,
            columns.kind,
            columns.system,
            columns.code,
            columns.day_number,
            columns.value_number,
            columns.value_unit,
        ).where(columns.pseudonym.in_(wanted[start : start + 500]))
        found += [ClinicalFact(Pseudonym(row[0]), *row[1:]) for row in connection.execute(statement)]
    return found


def days_of_series(connection: sa.Connection, series_uids: Collection[str]) -> dict[str, str]:
    """Return the shifted Study Date, ``YYYYMMDD``, of some series; those without one are left out."""
    wanted, columns = set(series_uids), series_fact.c
    rows = connection.execute(sa.select(columns.series_uid, columns.study_date))
    return {row.series_uid: row.study_date for row in rows if row.study_date and row.series_uid in wanted}
