"""Requests to learn who a subject is."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0153"
down_revision = "0152"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reidentification",
        sa.Column("request_id", sa.String(length=32), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("domain", sa.String(length=128), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("asked_by", sa.String(length=80), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("is_agreed", sa.Boolean(), nullable=True),
        sa.Column("decided_by", sa.String(length=80), nullable=False),
        sa.Column("decided_roles", sa.String(length=200), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("shown", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("request_id", name=op.f("pk_reidentification")),
    )
    with op.batch_alter_table("reidentification", schema=None) as batch_op:
        batch_op.create_index(op.f("ix_reidentification_asked_at"), ["asked_at"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reidentification", schema=None) as batch_op:
        batch_op.drop_index(op.f("ix_reidentification_asked_at"))
    op.drop_table("reidentification")
