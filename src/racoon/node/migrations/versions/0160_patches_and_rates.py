"""Pieces punched out at marks, as files; how fast a job runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0160"
down_revision = "0154"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "measuring_patch",
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("dataset_hash", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("parameters_hash", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("patch", sa.LargeBinary(), nullable=False),
        sa.Column("mask", sa.LargeBinary(), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "study_id", "dataset_hash", "series_uid", "parameters_hash", name=op.f("pk_measuring_patch")
        ),
    )
    op.add_column("site_job", sa.Column("note", sa.String(length=500), server_default="", nullable=False))


def downgrade() -> None:
    """Take back."""
    op.drop_column("site_job", "note")
    op.drop_table("measuring_patch")
