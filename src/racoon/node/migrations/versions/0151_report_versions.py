"""Signed versions of reports, and why one is being amended."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0151"
down_revision = "0150"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_report_version",
        sa.Column("report_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("response", Json(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=80), nullable=False),
        sa.Column("signed_at", UtcDateTime(), nullable=False),
        sa.Column("sr_instance_uid", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("report_id", "version", name=op.f("pk_reading_report_version")),
    )
    with op.batch_alter_table("reading_report_version", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_reading_report_version_pseudonym"), ["pseudonym"], unique=False)
    with op.batch_alter_table("reading_report", schema=None) as batch_op:
        batch_op.add_column(sa.Column("amending", sa.String(length=500), server_default="", nullable=False))
    # What was signed before there were versions is the first one.
    op.execute(
        "INSERT INTO reading_report_version (report_id, version, kind, text, response, sha256, pseudonym,"
        " imaging_study_uid, author, signed_at, sr_instance_uid)"
        " SELECT report_id, 1, 'signed', '', response, signed_hash, pseudonym, imaging_study_uid, author,"
        " signed_at, '' FROM reading_report WHERE signed_at IS NOT NULL"
    )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reading_report", schema=None) as batch_op:
        batch_op.drop_column("amending")
    with op.batch_alter_table("reading_report_version", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reading_report_version_pseudonym"))
    op.drop_table("reading_report_version")
