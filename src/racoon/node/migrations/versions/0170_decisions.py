"""Decisions between two readings."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json

revision = "0170"
down_revision = "0165"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("reading_task", schema=None) as batch_op:
        batch_op.add_column(sa.Column("duty", sa.String(length=12), nullable=False, server_default="read"))
    op.create_table(
        "reading_decision",
        sa.Column("report_id", sa.String(length=36), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("list_name", sa.String(length=80), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("record", Json(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("report_id", "version", "list_name", name=op.f("pk_reading_decision")),
    )
    with op.batch_alter_table("reading_decision", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_reading_decision_imaging_study_uid"), ["imaging_study_uid"], unique=False
        )
    op.create_table(
        "reading_mask_agreement",
        sa.Column("first_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("second_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("labels", Json(), nullable=False),
        sa.PrimaryKeyConstraint(
            "first_instance_uid", "second_instance_uid", name=op.f("pk_reading_mask_agreement")
        ),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("reading_mask_agreement")
    with op.batch_alter_table("reading_decision", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_reading_decision_imaging_study_uid"))
    op.drop_table("reading_decision")
    with op.batch_alter_table("reading_task", schema=None) as batch_op:
        batch_op.drop_column("duty")
