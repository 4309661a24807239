"""Limits of trainings at this site, and jobs that it paused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0230"
down_revision = "0226"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "training_limits",
        sa.Column("number", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("hours", sa.Float(), nullable=True),
        sa.Column("trainings", sa.Integer(), nullable=True),
        sa.Column("opens", sa.String(length=5), nullable=False),
        sa.Column("closes", sa.String(length=5), nullable=False),
        sa.Column("set_at", UtcDateTime(), nullable=False),
        sa.Column("set_by", sa.String(length=200), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_training_limits")),
    )
    with op.batch_alter_table("site_job") as table:
        table.add_column(sa.Column("paused_at", UtcDateTime(), nullable=True))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("site_job") as table:
        table.drop_column("paused_at")
    op.drop_table("training_limits")
