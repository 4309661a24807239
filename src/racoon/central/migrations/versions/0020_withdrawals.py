"""Tombstones of subjects that withdrew."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0020"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "tombstone",
        sa.Column("site", sa.String(length=16), nullable=False),
        sa.Column("tombstone_id", sa.String(length=80), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("run_ids", Json(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.Column("envelope_id", sa.String(length=36), nullable=False),
        sa.PrimaryKeyConstraint("site", "tombstone_id", name=op.f("pk_tombstone")),
    )
    op.create_index(op.f("ix_tombstone_study_id"), "tombstone", ["study_id"], unique=False)


def downgrade() -> None:
    """Undo."""
    op.drop_table("tombstone")
