"""Tables of measured values and of findings."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.domain.coding import Code
from racoon.domain.identity import Pseudonym
from racoon.node.measuring.model import Finding, MaskSource, StoredValue
from racoon.platform import clock
from racoon.platform.database import Json, UtcDateTime, metadata

measurement = sa.Table(
    "measurement",
    metadata("node"),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("study_id", sa.String(80), nullable=False),
    sa.Column("dataset_hash", sa.String(64), nullable=False),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("measurement", sa.String(300), nullable=False),
    sa.Column("biomarker", sa.String(80), nullable=False),
    sa.Column("version", sa.String(20), nullable=False),
    sa.Column("label_key", sa.String(120), nullable=False),
    sa.Column("label", Json),
    sa.Column("parameters_hash", sa.String(64), nullable=False),
    sa.Column("value", sa.Double),
    sa.Column("unit", sa.String(40), nullable=False),
    sa.Column("valid", sa.Boolean, nullable=False),
    sa.Column("reason", sa.String(40), nullable=False),
    sa.Column("parameters", Json, nullable=False),
    sa.Column("masks", Json, nullable=False),
    sa.Column("automation", sa.String(20)),
    sa.Column("key_instance_uid", sa.String(64), nullable=False),
    sa.Column("key_frame", sa.Integer, nullable=False),
    sa.Column("key_slice", sa.Integer),
    sa.Column("software", sa.String(80), nullable=False),
    sa.Column("computed_at", UtcDateTime, nullable=False),
    sa.Column("warnings", Json),
    sa.Column("evidence", Json),
    sa.UniqueConstraint(
        "study_id",
        "dataset_hash",
        "series_uid",
        "biomarker",
        "version",
        "label_key",
        "parameters_hash",
        name="uq_measurement_identity",
    ),
)

measuring_finding = sa.Table(
    "measuring_finding",
    metadata("node"),
    sa.Column("study_id", sa.String(80), primary_key=True),
    sa.Column("dataset_hash", sa.String(64), primary_key=True),
    sa.Column("series_uid", sa.String(64), primary_key=True),
    sa.Column("code", sa.String(80), primary_key=True),
    sa.Column("message", sa.String(1000), nullable=False),
    sa.Column("found_at", UtcDateTime, nullable=False),
)

Identity = tuple[str, str, str, str]


def load_done(connection: sa.Connection, study_id: str, dataset_hash: str) -> dict[str, set[Identity]]:
    """Load what is measured already: series to identities (biomarker, version, label, parameters hash)."""
    columns = measurement.c
    statement = sa.select(
        columns.series_uid, columns.biomarker, columns.version, columns.label_key, columns.parameters_hash
    ).where(columns.study_id == study_id, columns.dataset_hash == dataset_hash)
    done: dict[str, set[Identity]] = {}
    for series_uid, *identity in connection.execute(statement):
        done.setdefault(series_uid, set()).add((identity[0], identity[1], identity[2], identity[3]))
    return done


def save_series(
    connection: sa.Connection,
    values: Sequence[StoredValue],
    findings: Sequence[Finding],
    keys: tuple[str, str, str],
) -> None:
    """Store the values of one series and replace its findings; a value that exists stays as it is.

    Parameters
    ----------
    keys
        Study, dataset hash and series.
    """
    if values:
        add_values(connection, values)
    where = [
        column == key
        for column, key in zip(
            (measuring_finding.c.study_id, measuring_finding.c.dataset_hash, measuring_finding.c.series_uid),
            keys,
            strict=True,
        )
    ]
    connection.execute(measuring_finding.delete().where(*where))
    if findings:
        connection.execute(
            measuring_finding.insert(),
            [
                {
                    "study_id": item.study_id,
                    "dataset_hash": item.dataset_hash,
                    "series_uid": item.series_uid,
                    "code": item.code,
                    "message": item.message[:1000],
                    "found_at": clock.now(),
                }
                for item in findings
            ],
        )


def add_values(connection: sa.Connection, values: Sequence[StoredValue]) -> None:
    """Store values; one that exists stays as it is."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    # Two workers on the same job would compute the same numbers; the first one wins.
    connection.execute(insert(measurement).on_conflict_do_nothing(), [_row_of(value) for value in values])


def load_values(
    connection: sa.Connection,
    *,
    study_id: str = "",
    dataset_hash: str = "",
    biomarker: str = "",
    series_uids: Collection[str] = (),
    after: int = 0,
    limit: int | None = None,
) -> Iterator[tuple[int, StoredValue]]:
    """Load values with their row numbers, oldest first; empty arguments match all."""
    columns = measurement.c
    statement = sa.select(measurement).where(columns.id > after).order_by(columns.id)
    for column, wanted in (
        (columns.study_id, study_id),
        (columns.dataset_hash, dataset_hash),
        (columns.biomarker, biomarker),
    ):
        if wanted:
            statement = statement.where(column == wanted)
    if series_uids:
        statement = statement.where(columns.series_uid.in_(list(series_uids)))
    if limit is not None:
        statement = statement.limit(limit)
    for row in connection.execute(statement):
        yield row.id, _value_of(row)


def load_value(connection: sa.Connection, number: int) -> StoredValue | None:
    """Load one value by its row number."""
    row = connection.execute(sa.select(measurement).where(measurement.c.id == number)).first()
    return _value_of(row) if row else None


def load_findings(connection: sa.Connection, *, study_id: str = "", dataset_hash: str = "") -> list[Finding]:
    """Load findings in a stable order; empty arguments match all."""
    columns = measuring_finding.c
    statement = sa.select(measuring_finding).order_by(columns.study_id, columns.series_uid, columns.code)
    if study_id:
        statement = statement.where(columns.study_id == study_id)
    if dataset_hash:
        statement = statement.where(columns.dataset_hash == dataset_hash)
    return [
        Finding(row.study_id, row.dataset_hash, row.series_uid, row.code, row.message)
        for row in connection.execute(statement)
    ]


def forget_subject(connection: sa.Connection, pseudonym: str, series_uids: Sequence[str]) -> int:
    """Remove every value of a subject, and what was noted about their series; returns how many rows."""
    statement = sa.delete(measurement).where(measurement.c.pseudonym == pseudonym)
    removed = connection.execute(statement).rowcount
    for uid in series_uids:
        statement = sa.delete(measuring_finding).where(measuring_finding.c.series_uid == uid)
        removed += connection.execute(statement).rowcount
    return removed


def _row_of(value: StoredValue) -> dict[str, Any]:
    return {
        "study_id": value.study_id,
        "dataset_hash": value.dataset_hash,
        "series_uid": value.series_uid,
        "pseudonym": value.pseudonym,
        "measurement": value.measurement,
        "biomarker": value.biomarker,
        "version": value.version,
        "label_key": value.label.key if value.label else "",
        "label": value.label.to_dict() if value.label else None,
        "parameters_hash": value.parameters_hash,
        "value": value.value,
        "unit": value.unit,
        "valid": value.valid,
        "reason": value.reason,
        "parameters": dict(value.parameters),
        "masks": [mask.to_dict() for mask in value.masks],
        "automation": value.automation,
        "key_instance_uid": value.key_instance_uid,
        "key_frame": value.key_frame,
        "key_slice": value.key_slice,
        "software": value.software,
        "computed_at": value.computed_at,
        "warnings": list(value.warnings),
        "evidence": dict(value.evidence),
    }


def _value_of(row: sa.Row[Any]) -> StoredValue:
    return StoredValue(
        study_id=row.study_id,
        dataset_hash=row.dataset_hash,
        series_uid=row.series_uid,
        pseudonym=Pseudonym(row.pseudonym),
        measurement=row.measurement,
        biomarker=row.biomarker,
        version=row.version,
        label=Code.from_dict(row.label) if row.label else None,
        parameters_hash=row.parameters_hash,
        value=row.value,
        unit=row.unit,
        valid=row.valid,
        reason=row.reason,
        parameters=row.parameters,
        masks=tuple(MaskSource(**mask) for mask in row.masks),
        automation=row.automation,
        key_instance_uid=row.key_instance_uid,
        key_frame=row.key_frame,
        key_slice=row.key_slice,
        software=row.software,
        computed_at=row.computed_at,
        warnings=tuple(row.warnings or ()),
        evidence=row.evidence or {},
    )
