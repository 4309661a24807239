"""Table of findings: one row per revision, none ever changed."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from racoon.domain.coding import Code
from racoon.domain.finding import Finding, FindingKind, Place, Quantity
from racoon.domain.identity import Pseudonym
from racoon.node.archive.model import InstanceRow
from racoon.node.reading.findings.model import StoredFinding
from racoon.platform.clock import now
from racoon.platform.database import Json, UtcDateTime, metadata

reading_finding = sa.Table(
    "reading_finding",
    metadata("node"),
    sa.Column("finding_id", sa.String(36), primary_key=True),
    sa.Column("revision", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("is_removed", sa.Boolean, nullable=False),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("series_uid", sa.String(64), nullable=False),
    sa.Column("sop_instance_uid", sa.String(64), nullable=False),
    sa.Column("frame", sa.Integer, nullable=False),
    sa.Column("frame_of_reference_uid", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("meaning", Json, nullable=False),
    sa.Column("note", sa.String(500), nullable=False),
    sa.Column("points_mm", Json, nullable=False),
    sa.Column("numbers", Json, nullable=False),
    sa.Column("author", sa.String(80), nullable=False),
    sa.Column("written_at", UtcDateTime, nullable=False),
    sa.Column("software", sa.String(80), nullable=False),
    sa.Column("origin", Json, nullable=True),
)

reading_foreign_report = sa.Table(
    "reading_foreign_report",
    metadata("node"),
    sa.Column("sop_instance_uid", sa.String(64), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("read_at", UtcDateTime, nullable=False),
    sa.Column("left_out", Json, nullable=False),
)
"""Structured reports from elsewhere that were read, and what of them has no place here."""


def insert(connection: sa.Connection, stored: StoredFinding) -> None:
    """Add a revision; a second writer of the same revision fails on the primary key."""
    finding, place = stored.finding, stored.finding.place
    connection.execute(
        sa.insert(reading_finding).values(
            finding_id=finding.finding_id,
            revision=stored.revision,
            is_removed=stored.is_removed,
            pseudonym=str(stored.pseudonym),
            imaging_study_uid=place.imaging_study_uid,
            series_uid=place.series_uid,
            sop_instance_uid=place.sop_instance_uid,
            frame=place.frame,
            frame_of_reference_uid=place.frame_of_reference_uid,
            kind=finding.kind.value,
            meaning=finding.meaning.to_dict(),
            note=finding.note,
            points_mm=[list(point) for point in place.points_mm],
            numbers=[_number(number) for number in stored.numbers],
            author=stored.author,
            written_at=stored.written_at,
            software=stored.software,
            origin=dict(stored.origin) if stored.origin else None,
        )
    )


def _number(number: Quantity) -> list[Any]:
    own = [number.own_code.to_dict()] if number.own_code else []
    return [number.name, number.value, number.unit, *own]


def claim_foreign(connection: sa.Connection, row: InstanceRow, left_out: list[dict[str, Any]]) -> bool:
    """Note that a foreign report was read; False where it was noted before."""
    columns = reading_foreign_report.c
    query = sa.select(columns.sop_instance_uid).where(columns.sop_instance_uid == row.sop_instance_uid)
    if connection.execute(query).first() is not None:
        return False
    connection.execute(
        sa.insert(reading_foreign_report).values(
            sop_instance_uid=row.sop_instance_uid,
            imaging_study_uid=row.imaging_study_uid,
            pseudonym=str(row.pseudonym),
            read_at=now(),
            left_out=left_out,
        )
    )
    return True


def load_foreign(connection: sa.Connection, imaging_study_uid: str) -> dict[str, list[dict[str, Any]]]:
    """Load what was left out of each foreign report of an imaging study that was read."""
    columns = reading_foreign_report.c
    query = sa.select(columns.sop_instance_uid, columns.left_out).where(
        columns.imaging_study_uid == imaging_study_uid
    )
    return {row.sop_instance_uid: row.left_out for row in connection.execute(query)}


def load(connection: sa.Connection, finding_id: str) -> StoredFinding | None:
    """Load the newest revision of a finding, a removed one too."""
    columns = reading_finding.c
    query = (
        sa.select(reading_finding)
        .where(columns.finding_id == finding_id)
        .order_by(columns.revision.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return _stored_of(row) if row else None


def load_of_study(connection: sa.Connection, imaging_study_uid: str) -> list[StoredFinding]:
    """Load the newest revisions of all findings of an imaging study that were not removed, oldest first."""
    columns = reading_finding.c
    newest = (
        sa.select(
            columns.finding_id,
            sa.func.max(columns.revision).label("revision"),
            sa.func.min(columns.written_at).label("made_at"),
        )
        .where(columns.imaging_study_uid == imaging_study_uid)
        .group_by(columns.finding_id)
        .subquery()
    )
    query = (
        sa.select(reading_finding)
        .join(
            newest, sa.and_(columns.finding_id == newest.c.finding_id, columns.revision == newest.c.revision)
        )
        .where(columns.is_removed.is_(False))
        .order_by(newest.c.made_at, columns.finding_id)
    )
    return [_stored_of(row) for row in connection.execute(query)]


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove every revision of a subject's findings; returns how many rows."""
    columns = reading_foreign_report.c
    connection.execute(sa.delete(reading_foreign_report).where(columns.pseudonym == pseudonym))
    statement = sa.delete(reading_finding).where(reading_finding.c.pseudonym == pseudonym)
    return int(connection.execute(statement).rowcount)


def _stored_of(row: sa.Row[Any]) -> StoredFinding:
    place = Place(
        imaging_study_uid=row.imaging_study_uid,
        series_uid=row.series_uid,
        sop_instance_uid=row.sop_instance_uid,
        frame=row.frame,
        frame_of_reference_uid=row.frame_of_reference_uid,
        points_mm=tuple((point[0], point[1], point[2]) for point in row.points_mm),
    )
    finding = Finding(row.finding_id, FindingKind(row.kind), Code.from_dict(row.meaning), place, row.note)
    return StoredFinding(
        finding=finding,
        revision=row.revision,
        pseudonym=Pseudonym(row.pseudonym),
        author=row.author,
        written_at=row.written_at,
        numbers=tuple(
            Quantity(name, value, unit, Code.from_dict(code[0]) if code else None)
            for name, value, unit, *code in row.numbers
        ),
        software=row.software,
        is_removed=row.is_removed,
        origin=row.origin,
    )
