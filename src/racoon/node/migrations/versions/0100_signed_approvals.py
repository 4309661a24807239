"""Signed approvals with a last day, and what CENTRAL was told about them."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0100"
down_revision = "0090"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "site_approval",
        sa.Column("sequence", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("study_hash", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("record", Json(), nullable=False),
        sa.Column("signature", sa.String(length=128), nullable=False),
        sa.PrimaryKeyConstraint("sequence", name=op.f("pk_site_approval")),
    )
    with op.batch_alter_table("site_approval", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_site_approval_study_id"), ["study_id"], unique=False)
    with op.batch_alter_table("study_at_site", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("public_reason", sa.String(length=500), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("reminded_at", UtcDateTime(), nullable=True))
        batch_op.add_column(sa.Column("standing", Json(), nullable=True))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("study_at_site", schema=None) as batch_op:
        batch_op.drop_column("standing")
        batch_op.drop_column("reminded_at")
        batch_op.drop_column("public_reason")
    op.drop_table("site_approval")
