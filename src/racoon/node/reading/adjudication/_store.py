"""Tables of decisions, and of how two stored segmentations agree: both are written once and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from racoon.node.reading.adjudication.model import Decision, MaskAgreement
from racoon.platform.database import Json, metadata

decisions = sa.Table(
    "reading_decision",
    metadata("node"),
    sa.Column("report_id", sa.String(36), primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("list_name", sa.String(80), primary_key=True),
    sa.Column("imaging_study_uid", sa.String(64), nullable=False, index=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("record", Json, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
)

mask_agreements = sa.Table(
    "reading_mask_agreement",
    metadata("node"),
    sa.Column("first_instance_uid", sa.String(64), primary_key=True),
    sa.Column("second_instance_uid", sa.String(64), primary_key=True),
    sa.Column("pseudonym", sa.String(64), nullable=False),
    sa.Column("labels", Json, nullable=False),
)


def insert(connection: sa.Connection, decision: Decision) -> None:
    """Add the record of a decision."""
    connection.execute(
        sa.insert(decisions).values(
            report_id=decision.report_id,
            version=decision.version,
            list_name=decision.list_name,
            imaging_study_uid=decision.imaging_study_uid,
            pseudonym=decision.pseudonym,
            record=decision.to_dict(),
            sha256=decision.digest(),
        )
    )


def load(
    connection: sa.Connection, *, list_name: str = "", imaging_study_uid: str = "", report_id: str = ""
) -> list[dict[str, Any]]:
    """Load records with their hashes, the oldest version of a decision first."""
    query = sa.select(decisions).order_by(decisions.c.imaging_study_uid, decisions.c.version)
    if list_name:
        query = query.where(decisions.c.list_name == list_name)
    if imaging_study_uid:
        query = query.where(decisions.c.imaging_study_uid == imaging_study_uid)
    if report_id:
        query = query.where(decisions.c.report_id == report_id)
    return [row.record | {"sha256": row.sha256} for row in connection.execute(query)]


def load_masks(connection: sa.Connection, first: str, second: str) -> list[MaskAgreement] | None:
    """Load how two segmentations agree, or None when nobody asked yet."""
    found = connection.execute(
        sa.select(mask_agreements.c.labels).where(
            mask_agreements.c.first_instance_uid == first, mask_agreements.c.second_instance_uid == second
        )
    ).scalar()
    return None if found is None else [MaskAgreement.from_dict(item) for item in found]


def save_masks(
    connection: sa.Connection, first: str, second: str, pseudonym: str, found: Sequence[MaskAgreement]
) -> None:
    """Keep how two segmentations agree; who asks at the same time keeps the same."""
    if load_masks(connection, first, second) is None:
        connection.execute(
            sa.insert(mask_agreements).values(
                first_instance_uid=first,
                second_instance_uid=second,
                pseudonym=pseudonym,
                labels=[item.to_dict() for item in found],
            )
        )


def forget_subject(connection: sa.Connection, pseudonym: str) -> int:
    """Remove what there is on a subject; returns how many rows."""
    return sum(
        int(connection.execute(sa.delete(table).where(table.c.pseudonym == pseudonym)).rowcount)
        for table in (decisions, mask_agreements)
    )
