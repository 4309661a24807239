"""What one may ask about cohorts at this node."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.cohort import CohortDefinition
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
from racoon.node.cohorts._store import clinical_fact, mask_fact, series_fact
from racoon.node.cohorts.facts import day_number, facts_of_row
from racoon.node.cohorts.model import GENDER_OF_SEX, Facts, matching_series, subjects_of

Readable = Callable[[sa.ColumnElement[Any]], sa.ColumnElement[bool]]
"""Makes the condition, over a column with subjects, that ``consent`` puts on every read."""


FACTS = Facts(series_fact, mask_fact, clinical_fact)


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


def record(connection: sa.Connection, facts: Iterable[SeriesFacts]) -> None:
    """Keep the fact tables current; the archive calls this in the transaction in which it stores.

    Parameters
    ----------
    connection
        The archive's open write transaction.
    facts
        Facts of every series touched; image series and DICOM SEG alike.
    """
    for fact in facts:
        if fact.modality == "SEG":
            for label in sorted({code.key for code in fact.segment_labels}):
                _upsert(
                    connection,
                    mask_fact,
                    ("mask_series_uid", "label"),
                    {
                        "mask_series_uid": fact.series_uid,
                        "label": label,
                        "series_uid": fact.referenced_series_uid,
                        "pseudonym": fact.pseudonym,
                    },
                )
            continue
        _upsert(
            connection,
            series_fact,
            ("series_uid",),
            {
                "series_uid": fact.series_uid,
                "imaging_study_uid": fact.imaging_study_uid,
                "pseudonym": fact.pseudonym,
                "modality": fact.modality,
                "body_part": fact.body_part,
                "gender": GENDER_OF_SEX.get(fact.sex, "unknown"),
                "age_years": fact.age_years,
                "slice_thickness_mm": fact.slice_thickness_mm,
                "instance_count": fact.instance_count,
                "study_date": fact.study_date_shifted,
                "day_number": day_number(fact.study_date_shifted),
            },
        )


def forget(connection: sa.Connection, removed: Iterable[str], changed: Iterable[SeriesFacts] = ()) -> None:
    """Keep the fact tables current when images were deleted; called in the archive's removing transaction.

    Parameters
    ----------
    connection
        The archive's open write transaction.
    removed
        Series that are gone.
    changed
        Facts of series that lost some of their instances.
    """
    kept = list(changed)
    for uid in [*removed, *(fact.series_uid for fact in kept)]:
        connection.execute(sa.delete(series_fact).where(series_fact.c.series_uid == uid))
        connection.execute(sa.delete(mask_fact).where(mask_fact.c.mask_series_uid == uid))
    record(connection, kept)


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove all facts of a subject; returns how many rows."""
    return sum(
        connection.execute(sa.delete(table).where(table.c.pseudonym == pseudonym)).rowcount
        for table in (series_fact, mask_fact, clinical_fact)
    )


def record_clinical(
    connection: sa.Connection, resource_keys: Collection[str], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Keep the clinical facts current; the import calls this in the transaction in which it stores.

    Parameters
    ----------
    connection
        The import's open write transaction.
    resource_keys
        Resources that are new or changed: what was known of them goes.
    rows
        By name of the flat table: rows as ``clinical`` stores them.
    """
    keys = sorted(resource_keys)
    for start in range(0, len(keys), 500):
        chunk = keys[start : start + 500]
        connection.execute(sa.delete(clinical_fact).where(clinical_fact.c.resource_key.in_(chunk)))
    facts = [fact for table, found in rows.items() for row in found for fact in facts_of_row(table, row)]
    if facts:
        connection.execute(sa.insert(clinical_fact), facts)


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
    found = subjects_of(definition, FACTS).subquery()
    statement = sa.select(sa.func.count()).select_from(found).where(readable(found.c.pseudonym))
    return int(connection.execute(statement).scalar_one())


def members(
    connection: sa.Connection, definition: CohortDefinition, readable: Readable
) -> frozenset[Pseudonym]:
    """Return the readable subjects of a cohort, for ``release``, which counts and compares them and shows none."""
    found = subjects_of(definition, FACTS).subquery()
    statement = sa.select(found.c.pseudonym).where(readable(found.c.pseudonym))
    return frozenset(Pseudonym(name) for name in connection.execute(statement).scalars())


def select_series(
    connection: sa.Connection, definition: CohortDefinition, readable: Readable
) -> list[CohortSeries]:
    """Return the readable series of a cohort, each with the masks drawn on it, sorted by UID."""
    statement = matching_series(definition, FACTS)
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


def _upsert(connection: sa.Connection, table: sa.Table, key: tuple[str, ...], values: dict[str, Any]) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**values)
    changed = {name: statement.excluded[name] for name in values if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))
