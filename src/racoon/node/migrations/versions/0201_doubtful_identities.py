"""Pairs of descriptions that may be one person, or two under one number."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0201"
down_revision = "0200"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_doubt",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=20), nullable=False),
        sa.Column("left_token", sa.String(length=32), nullable=False),
        sa.Column("right_token", sa.String(length=32), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("likeness", sa.Float(), nullable=False),
        sa.Column("differing", Json, nullable=False),
        sa.Column("state", sa.String(length=12), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("standing", sa.String(length=8), nullable=False),
        sa.Column("found_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinical_doubt")),
        sa.UniqueConstraint("left_token", "right_token", name="uq_clinical_doubt_pair"),
    )
    for name in ("pseudonym", "state"):
        op.create_index(op.f(f"ix_clinical_doubt_{name}"), "clinical_doubt", [name])


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_doubt")
