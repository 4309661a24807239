"""Tables of what is known of a series beyond its header fields: its class, the quality rules it breaks, doses.

They are worked out behind the intake from the stored metadata; a row of ``image_series_to_assess`` says that a series
has changed since.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from racoon.node.archive.model import SeriesAssessment, StudyDose
from racoon.platform.clock import now
from racoon.platform.database import Json, UtcDateTime, metadata

_METADATA = metadata("node")

to_assess = sa.Table(
    "image_series_to_assess",
    _METADATA,
    sa.Column("series_id", sa.Integer, sa.ForeignKey("image_series.id"), primary_key=True),
    sa.Column("changed_at", UtcDateTime, nullable=False, index=True),
)

assessments = sa.Table(
    "image_series_assessment",
    _METADATA,
    sa.Column("series_id", sa.Integer, sa.ForeignKey("image_series.id"), primary_key=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("imaging_study.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(32), nullable=False),
    sa.Column("body_part", sa.String(64), nullable=False),
    sa.Column("plane", sa.String(16), nullable=False),
    sa.Column("contrast", sa.String(16), nullable=False),
    sa.Column("kernel", sa.String(16), nullable=False),
    sa.Column("thickness", sa.String(16), nullable=False),
    sa.Column("worst", sa.String(8), nullable=False),
    sa.Column("rules", Json, nullable=False),
    sa.Column("findings", Json, nullable=False),
    sa.Column("sources", Json, nullable=False),
    sa.Index("ix_image_series_assessment_contrast", "contrast", "study_id"),
    sa.Index("ix_image_series_assessment_kind", "kind", "study_id"),
    sa.Index("ix_image_series_assessment_plane", "plane", "study_id"),
    sa.Index("ix_image_series_assessment_worst", "worst", "study_id"),
)

dose_reports = sa.Table(
    "image_dose_report",
    _METADATA,
    sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
    sa.Column("series_id", sa.Integer, sa.ForeignKey("image_series.id"), nullable=False, index=True),
    sa.Column("study_id", sa.Integer, sa.ForeignKey("imaging_study.id"), nullable=False, index=True),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("started_at", sa.String(64), nullable=False),
    sa.Column("ended_at", sa.String(64), nullable=False),
    sa.Column("events", Json, nullable=False),
    sa.Column("totals", Json, nullable=False),
)

study_doses = sa.Table(
    "image_study_dose",
    _METADATA,
    sa.Column("study_id", sa.Integer, sa.ForeignKey("imaging_study.id"), primary_key=True),
    sa.Column("reports", sa.Integer, nullable=False),
    sa.Column("superseded", sa.Integer, nullable=False),
    sa.Column("is_single", sa.Boolean, nullable=False),
    sa.Column("dlp_mgy_cm", sa.Float, index=True),
    sa.Column("dose_area_product_gy_m2", sa.Float, index=True),
    sa.Column("totals", Json, nullable=False),
)
"""The last cumulative values of an imaging study; where several reports stand side by side, no value is the study's."""

TABLES = (to_assess, assessments, dose_reports, study_doses)
"""Emptied before the tables of series and imaging studies."""


def _upsert(connection: sa.Connection, table: sa.Table, row: Mapping[str, Any]) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    key = [column.name for column in table.primary_key]
    statement = dialect.insert(table).values(row)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=key, set_={name: value for name, value in row.items() if name not in key}
        )
    )


def mark(connection: sa.Connection, series_id: int, moment: datetime | None = None) -> None:
    """Note that a series has changed, or that it is to be looked at later."""
    _upsert(connection, to_assess, {"series_id": series_id, "changed_at": moment or now()})


def waiting(connection: sa.Connection, before: datetime, limit: int) -> Sequence[sa.Row[Any]]:
    """List series that have not changed since a moment, the longest waiting first."""
    query = sa.select(to_assess).where(to_assess.c.changed_at <= before)
    return connection.execute(query.order_by(to_assess.c.changed_at).limit(limit)).all()


def unmark(connection: sa.Connection, series_id: int, changed_at: datetime) -> None:
    """Note that a series is assessed, unless it has changed meanwhile."""
    connection.execute(
        sa.delete(to_assess).where(to_assess.c.series_id == series_id, to_assess.c.changed_at == changed_at)
    )


def save(
    connection: sa.Connection,
    series_id: int,
    study_id: int,
    row: Mapping[str, Any],
    doses: Sequence[Mapping[str, Any]],
) -> None:
    """Replace what is known of a series."""
    _upsert(connection, assessments, {"series_id": series_id, "study_id": study_id, **row})
    connection.execute(sa.delete(dose_reports).where(dose_reports.c.series_id == series_id))
    if doses:
        fresh = [{"series_id": series_id, "study_id": study_id, **item} for item in doses]
        connection.execute(sa.insert(dose_reports), fresh)


def load_dose_reports(connection: sa.Connection, study_id: int) -> Sequence[sa.Row[Any]]:
    """List the dose reports of an imaging study."""
    return connection.execute(sa.select(dose_reports).where(dose_reports.c.study_id == study_id)).all()


def save_study_dose(connection: sa.Connection, study_id: int, row: Mapping[str, Any] | None) -> None:
    """Replace the dose of an imaging study; None where there is none."""
    if row is None:
        connection.execute(sa.delete(study_doses).where(study_doses.c.study_id == study_id))
    else:
        _upsert(connection, study_doses, {"study_id": study_id, **row})


def forget_series(connection: sa.Connection, series_id: int) -> None:
    """Forget what was known of a series that goes, or shrinks."""
    for table in (to_assess, assessments, dose_reports):
        connection.execute(sa.delete(table).where(table.c.series_id == series_id))


def of_series(connection: sa.Connection, series_ids: Iterable[int]) -> dict[int, SeriesAssessment]:
    """Assessments by series."""
    query = sa.select(assessments).where(assessments.c.series_id.in_(list(series_ids)))
    return {
        row.series_id: SeriesAssessment(
            kind=row.kind,
            body_part=row.body_part,
            plane=row.plane,
            contrast=row.contrast,
            kernel=row.kernel,
            thickness=row.thickness,
            worst=row.worst,
            rules=tuple(row.rules),
            findings=tuple(row.findings),
            sources=row.sources,
        )
        for row in connection.execute(query)
    }


def doses_of(connection: sa.Connection, study_ids: Iterable[int]) -> dict[int, StudyDose]:
    """Doses by imaging study."""
    query = sa.select(study_doses).where(study_doses.c.study_id.in_(list(study_ids)))
    return {
        row.study_id: StudyDose(
            reports=row.reports,
            superseded=row.superseded,
            is_single=row.is_single,
            dlp_mgy_cm=row.dlp_mgy_cm,
            dose_area_product_gy_m2=row.dose_area_product_gy_m2,
            totals=tuple(row.totals),
        )
        for row in connection.execute(query)
    }
