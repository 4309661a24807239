"""Keeps the fact tables current: what other rooms tell in the transactions in which they store."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import SeriesFacts
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
from racoon.node.cohorts.facts import coded_answers, day_number, facts_of_row, pacs_rows
from racoon.node.cohorts.model import GENDER_OF_SEX
from racoon.platform.rows import rewrite


@dataclass(frozen=True)
class MeasuredFact:
    """One valid value of a series.

    Parameters
    ----------
    series_uid, pseudonym
        Where.
    biomarker, label, identity
        Name in the catalogue, key of the structure's code (empty for the whole image), version and parameters.
    number, unit
        The value, and its UCUM code.
    """

    series_uid: str
    pseudonym: Pseudonym
    biomarker: str
    label: str
    identity: str
    number: float
    unit: str


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
                "scanner": f"{fact.manufacturer} {fact.model}".strip()[:200],
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
    kept, gone = list(changed), list(removed)
    for uid in [*gone, *(fact.series_uid for fact in kept)]:
        connection.execute(sa.delete(series_fact).where(series_fact.c.series_uid == uid))
        connection.execute(sa.delete(mask_fact).where(mask_fact.c.mask_series_uid == uid))
    for uid in gone:
        connection.execute(sa.delete(measured_fact).where(measured_fact.c.series_uid == uid))
    record(connection, kept)


def forget_subject(connection: sa.Connection, pseudonym: Pseudonym) -> int:
    """Remove all facts of a subject; returns how many rows."""
    return sum(
        connection.execute(sa.delete(table).where(table.c.pseudonym == pseudonym)).rowcount
        for table in (
            series_fact,
            mask_fact,
            measured_fact,
            clinical_fact,
            answer_fact,
            annotation_fact,
            consent_fact,
            pacs_fact,
        )
    )


def record_measured(connection: sa.Connection, facts: Iterable[MeasuredFact]) -> None:
    """Keep what was measured current; ``measuring`` calls this in the transaction in which it stores.

    Parameters
    ----------
    connection
        An open write transaction.
    facts
        Valid values; one that is there already is replaced.
    """
    for fact in facts:
        key = ("series_uid", "biomarker", "label", "identity")
        _upsert(connection, measured_fact, key, dataclasses.asdict(fact))


def record_clinical(
    connection: sa.Connection, resource_keys: Collection[str], rows: Mapping[str, Sequence[Mapping[str, Any]]]
) -> None:
    """Keep the clinical facts current; the import calls this in the transaction in which it stores.

    Parameters
    ----------
    connection
        The import's open write transaction.
    resource_keys
        Resources that may have been there before: what was known of them and is told no more goes.
    rows
        By name of the flat table: rows as ``clinical`` stores them.
    """
    rewrite(connection, pacs_fact, pacs_fact.c.resource_key, resource_keys, pacs_rows(rows))
    facts = [fact for table, found in rows.items() for row in found for fact in facts_of_row(table, row)]
    # What has facts has one row, whose key is its resource's.
    rewrite(connection, clinical_fact, clinical_fact.c.key, resource_keys, facts)


def record_report(
    connection: sa.Connection,
    report_id: str,
    pseudonym: Pseudonym,
    imaging_study_uid: str,
    response: Mapping[str, Any],
) -> None:
    """Keep the answers of a report current; ``reading`` calls this in the transaction of the signature.

    Parameters
    ----------
    connection
        An open write transaction.
    report_id, pseudonym, imaging_study_uid
        Which report, and on what.
    response
        The signed QuestionnaireResponse; it replaces what was signed before.
    """
    connection.execute(sa.delete(answer_fact).where(answer_fact.c.report_id == report_id))
    where = {"imaging_study_uid": imaging_study_uid, "pseudonym": pseudonym}
    rows = [{"report_id": report_id, **where, **answer} for answer in coded_answers(response)]
    if rows:
        connection.execute(sa.insert(answer_fact), rows)
    _upsert(connection, annotation_fact, ("key",), {"key": report_id, **where})


def record_finding(
    connection: sa.Connection, finding_id: str, pseudonym: Pseudonym, imaging_study_uid: str
) -> None:
    """Note that a finding is marked on an imaging study."""
    values = {"key": finding_id, "imaging_study_uid": imaging_study_uid, "pseudonym": pseudonym}
    _upsert(connection, annotation_fact, ("key",), values)


def forget_finding(connection: sa.Connection, finding_id: str) -> None:
    """Note that a finding was taken back."""
    connection.execute(sa.delete(annotation_fact).where(annotation_fact.c.key == finding_id))


def record_consent(
    connection: sa.Connection,
    pseudonym: Pseudonym,
    periods: Iterable[tuple[str, date, date]],
    fresh_until: datetime | None,
) -> None:
    """Keep what a subject permits current; ``consent`` calls this in the transaction that takes a document.

    Parameters
    ----------
    connection
        An open write transaction.
    pseudonym
        Subject.
    periods
        Policy, first and last day; they replace what was known.
    fresh_until
        When they have to be confirmed again.
    """
    connection.execute(sa.delete(consent_fact).where(consent_fact.c.pseudonym == pseudonym))
    rows = [
        {
            "pseudonym": pseudonym,
            "policy": policy[:60],
            "first_day": first.isoformat(),
            "last_day": last.isoformat(),
            "fresh_until": fresh_until,
        }
        for policy, first, last in periods
    ]
    if rows:
        connection.execute(sa.insert(consent_fact), rows)


def _upsert(connection: sa.Connection, table: sa.Table, key: tuple[str, ...], values: dict[str, Any]) -> None:
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = insert(table).values(**values)
    changed = {name: statement.excluded[name] for name in values if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=changed))
