"""Findings that structured reports from elsewhere brought, and what of them has no place here."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0210"
down_revision = "0206"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("reading_finding") as table:
        table.add_column(sa.Column("origin", Json, nullable=True))
    op.create_table(
        "reading_foreign_report",
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("read_at", UtcDateTime(), nullable=False),
        sa.Column("left_out", Json, nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", name=op.f("pk_reading_foreign_report")),
    )
    op.create_index(
        op.f("ix_reading_foreign_report_imaging_study_uid"), "reading_foreign_report", ["imaging_study_uid"]
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_reading_foreign_report_imaging_study_uid"), table_name="reading_foreign_report")
    op.drop_table("reading_foreign_report")
    with op.batch_alter_table("reading_finding") as table:
        table.drop_column("origin")
