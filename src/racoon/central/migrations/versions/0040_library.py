"""The network's library of models."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0040"
down_revision = "0038"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "library_model",
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("version", sa.String(length=20), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("signer", sa.String(length=64), nullable=False),
        sa.Column("file_sha256", sa.String(length=64), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("card", Json(), nullable=False),
        sa.Column("state", sa.String(length=20), nullable=False),
        sa.Column("offered_by", sa.String(length=200), nullable=False),
        sa.Column("offered_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=200), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.PrimaryKeyConstraint("hash", name=op.f("pk_library_model")),
        sa.UniqueConstraint("name", "version", name=op.f("uq_library_model_name_version")),
    )
    with op.batch_alter_table("library_model", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_library_model_study_id"), ["study_id"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("library_model", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_library_model_study_id"))
    op.drop_table("library_model")
