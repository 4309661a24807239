"""Findings and reports of readers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_finding",
        sa.Column("finding_id", sa.String(length=36), nullable=False),
        sa.Column("revision", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_removed", sa.Boolean(), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("frame_of_reference_uid", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("meaning", Json(), nullable=False),
        sa.Column("note", sa.String(length=500), nullable=False),
        sa.Column("points_mm", Json(), nullable=False),
        sa.Column("numbers", Json(), nullable=False),
        sa.Column("author", sa.String(length=80), nullable=False),
        sa.Column("written_at", UtcDateTime(), nullable=False),
        sa.Column("software", sa.String(length=80), nullable=False),
        sa.PrimaryKeyConstraint("finding_id", "revision", name=op.f("pk_reading_finding")),
    )
    with op.batch_alter_table("reading_finding", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_reading_finding_imaging_study_uid"), ["imaging_study_uid"], unique=False
        )
    op.create_table(
        "reading_report",
        sa.Column("report_id", sa.String(length=36), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=80), nullable=False),
        sa.Column("template_url", sa.String(length=200), nullable=False),
        sa.Column("template_version", sa.String(length=40), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("response", Json(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=True),
        sa.Column("signed_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("report_id", name=op.f("pk_reading_report")),
        sa.UniqueConstraint("imaging_study_uid", "author", "template_url", name="uq_reading_report_identity"),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("reading_report")
    with op.batch_alter_table("reading_finding", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reading_finding_imaging_study_uid"))
    op.drop_table("reading_finding")
