"""Table of signed versions of reports: what was signed stays, whatever is amended or added later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from racoon.node.reading.reports.model import ReportVersion
from racoon.platform.database import Json, UtcDateTime, metadata

versions = sa.Table(
    "reading_report_version",
    metadata("node"),
    sa.Column("report_id", sa.String(36), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("text", sa.Text, nullable=False),
    sa.Column("response", Json, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False, index=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False),
    sa.Column("author", sa.String(80), nullable=False),
    sa.Column("signed_at", UtcDateTime, nullable=False),
    sa.Column("sr_instance_uid", sa.String(64), nullable=False),
)


def insert(connection: sa.Connection, version: ReportVersion) -> None:
    """Add a version; a second writer of the same number fails on the primary key."""
    connection.execute(
        sa.insert(versions).values(
            report_id=version.report_id,
            version=version.version,
            kind=version.kind,
            text=version.text,
            response=version.response,
            sha256=version.sha256,
            pseudonym=str(version.pseudonym),
            imaging_study_uid=version.imaging_study_uid,
            author=version.author,
            signed_at=version.signed_at,
            sr_instance_uid=version.sr_instance_uid,
        )
    )


def load(connection: sa.Connection, report_id: str) -> list[ReportVersion]:
    """Load the versions of a report, the oldest first."""
    query = sa.select(versions).where(versions.c.report_id == report_id).order_by(versions.c.version)
    return [ReportVersion(**row) for row in connection.execute(query).mappings()]


def load_of_subject(connection: sa.Connection, pseudonym: str) -> list[ReportVersion]:
    """Load what anybody signed on a subject, the newest first."""
    query = (
        sa.select(versions)
        .where(versions.c.pseudonym == pseudonym)
        .order_by(versions.c.signed_at.desc(), versions.c.version.desc())
    )
    return [ReportVersion(**row) for row in connection.execute(query).mappings()]


def load_newest_of_studies(
    connection: sa.Connection, imaging_study_uids: Sequence[str]
) -> list[ReportVersion]:
    """Load the newest signed answers of every author on some imaging studies."""
    newest: dict[tuple[str, str], ReportVersion] = {}
    for first in range(0, len(imaging_study_uids), 500):
        part = imaging_study_uids[first : first + 500]
        query = (
            sa.select(versions)
            .where(versions.c.imaging_study_uid.in_(part), versions.c.kind != "addendum")
            .order_by(versions.c.report_id, versions.c.version)
        )
        for row in connection.execute(query).mappings():
            version = ReportVersion(**row)
            newest[version.report_id, version.author] = version
    return list(newest.values())


def instances_on_studies(
    author: str, imaging_study_uids: sa.Select[Any], *, own: bool = False
) -> sa.Select[Any]:
    """Select the DICOM SRs that hold what other authors, or this one, signed on some imaging studies."""
    return sa.select(versions.c.sr_instance_uid).where(
        versions.c.author == author if own else versions.c.author != author,
        versions.c.sr_instance_uid != "",
        versions.c.imaging_study_uid.in_(imaging_study_uids),
    )


def set_instance(connection: sa.Connection, report_id: str, version: int, sr_instance_uid: str) -> None:
    """Remember which DICOM SR holds a version."""
    connection.execute(
        sa.update(versions)
        .where(versions.c.report_id == report_id, versions.c.version == version)
        .values(sr_instance_uid=sr_instance_uid)
    )


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove a subject's versions; returns how many rows."""
    return int(connection.execute(sa.delete(versions).where(versions.c.pseudonym == pseudonym)).rowcount)
