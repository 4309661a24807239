"""Table of reports: one row per author, imaging study and template."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.node.reading.reports.model import StoredReport
from racoon.platform.database import Json, UtcDateTime, metadata

reading_report = sa.Table(
    "reading_report",
    metadata("node"),
    sa.Column("report_id", sa.String(36), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("author", sa.String(80), nullable=False),
    sa.Column("template_url", sa.String(200), nullable=False),
    sa.Column("template_version", sa.String(40), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("response", Json, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("signed_at", UtcDateTime),
    sa.Column("signed_hash", sa.String(64), nullable=False),
    sa.Column("amending", sa.String(500), nullable=False, server_default=""),
    sa.UniqueConstraint("imaging_study_uid", "author", "template_url", name="uq_reading_report_identity"),
)


def load(
    connection: sa.Connection, imaging_study_uid: str, author: str, template_url: str
) -> sa.Row[Any] | None:
    """Load the row of an author's report."""
    columns = reading_report.c
    return connection.execute(
        sa.select(reading_report).where(
            columns.imaging_study_uid == imaging_study_uid,
            columns.author == author,
            columns.template_url == template_url,
        )
    ).one_or_none()


def latest_template(connection: sa.Connection, imaging_study_uid: str, author: str) -> str:
    """Load which template the author's last changed report on an imaging study has; empty where there is none."""
    columns = reading_report.c
    query = (
        sa.select(columns.template_url)
        .where(columns.imaging_study_uid == imaging_study_uid, columns.author == author)
        .order_by(columns.changed_at.desc())
        .limit(1)
    )
    return connection.execute(query).scalar() or ""


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's reports; returns how many rows."""
    statement = sa.delete(reading_report).where(reading_report.c.pseudonym == pseudonym)
    return int(connection.execute(statement).rowcount)


def give(connection: sa.Connection, report_id: str, to: str, response: dict[str, Any]) -> None:
    """Give a draft to another author."""
    connection.execute(
        sa.update(reading_report)
        .where(reading_report.c.report_id == report_id)
        .values(author=to, response=response)
    )


def save(connection: sa.Connection, report: StoredReport) -> None:
    """Insert or replace the row of a report."""
    values = {
        "imaging_study_uid": report.imaging_study_uid,
        "pseudonym": str(report.pseudonym),
        "author": report.author,
        "template_url": report.template.url,
        "template_version": report.template.version,
        "revision": report.revision,
        "response": report.to_fhir(),
        "changed_at": report.changed_at,
        "signed_at": report.signed_at,
        "signed_hash": report.signed_hash,
        "amending": report.amending,
    }
    changed = connection.execute(
        sa.update(reading_report).where(reading_report.c.report_id == report.report_id).values(values)
    )
    if not changed.rowcount:
        connection.execute(sa.insert(reading_report).values(report_id=report.report_id, **values))
