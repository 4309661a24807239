"""Scores of which sums of squares have left."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0165"
down_revision = "0160"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "squared_score",
        sa.Column("scores_hash", sa.String(length=64), nullable=False),
        sa.Column("plan_hash", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.Column("subgroup", sa.String(length=200), nullable=False),
        sa.Column("scores", Json(), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("released_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint(
            "scores_hash", "plan_hash", "place", "subgroup", name=op.f("pk_squared_score")
        ),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("squared_score")
