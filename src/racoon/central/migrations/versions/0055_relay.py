"""Closed letters and parcels between sites and pools."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0055"
down_revision = "0040"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "relay_parcel",
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("sender", sa.String(length=16), nullable=False),
        sa.Column("recipient", sa.String(length=16), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("whole_at", UtcDateTime(), nullable=True),
        sa.Column("gone_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_relay_parcel")),
    )
    op.create_table(
        "relay_letter",
        sa.Column("letter_id", sa.String(length=36), nullable=False),
        sa.Column("sender", sa.String(length=16), nullable=False),
        sa.Column("recipient", sa.String(length=16), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("passed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("letter_id", name=op.f("pk_relay_letter")),
    )
    for table in ("relay_parcel", "relay_letter"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.create_index(batch_op.f(f"ix_{table}_study_id"), ["study_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    for table in ("relay_letter", "relay_parcel"):
        with op.batch_alter_table(table, schema=None) as batch_op:
            batch_op.drop_index(batch_op.f(f"ix_{table}_study_id"))
        op.drop_table(table)
