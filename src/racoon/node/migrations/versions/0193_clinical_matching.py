"""Decisions about subjects whose images and clinical record disagree."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0193"
down_revision = "0192"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_match",
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.String(length=200), nullable=False),
        sa.Column("is_same", sa.Boolean(), nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("pseudonym", name=op.f("pk_clinical_match")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_match")
