"""Decisions of the site's own use and access process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json

revision = "0265"
down_revision = "0260"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "local_decision",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("study_hash", sa.String(length=64), nullable=False),
        sa.Column("step", sa.String(length=40), nullable=False),
        sa.Column("record", Json(), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_local_decision")),
    )
    op.create_index(op.f("ix_local_decision_study_id"), "local_decision", ["study_id"])


def downgrade() -> None:
    """Take back."""
    op.drop_index(op.f("ix_local_decision_study_id"), "local_decision")
    op.drop_table("local_decision")
