"""Merges that are taken back, and orders that name their images."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0200"
down_revision = "0196"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_order",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("resource_key", sa.String(length=80), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("accession", sa.String(length=80), nullable=False),
        sa.Column("status", sa.String(length=40), nullable=False),
        sa.Column("authored", sa.String(length=40), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_clinical_order")),
    )
    for name in ("pseudonym", "imaging_study_uid", "accession"):
        op.create_index(op.f(f"ix_clinical_order_{name}"), "clinical_order", [name])
    op.create_table(
        "clinical_origin",
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("own_pseudonym", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_clinical_origin")),
    )
    op.create_index(op.f("ix_clinical_origin_own_pseudonym"), "clinical_origin", ["own_pseudonym"])
    op.create_table(
        "clinical_parting",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("old_pseudonym", sa.String(length=64), nullable=False),
        sa.Column("surviving_pseudonym", sa.String(length=64), nullable=False),
        sa.Column("merged_at", UtcDateTime(), nullable=False),
        sa.Column("parted_at", UtcDateTime(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinical_parting")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_parting")
    op.drop_table("clinical_origin")
    op.drop_table("clinical_order")
