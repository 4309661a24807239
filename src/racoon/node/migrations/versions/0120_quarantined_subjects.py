"""Whom an object in quarantine names, so that a withdrawal finds its originals."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0120"
down_revision = "0111"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "intake_quarantine_subject",
        sa.Column("quarantine_id", sa.String(length=128), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("quarantine_id", "pseudonym", name=op.f("pk_intake_quarantine_subject")),
    )
    with op.batch_alter_table("intake_quarantine_subject", schema=None) as batch_op:
        batch_op.create_index(
            batch_op.f("ix_intake_quarantine_subject_pseudonym"), ["pseudonym"], unique=False
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("intake_quarantine_subject", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_intake_quarantine_subject_pseudonym"))
    op.drop_table("intake_quarantine_subject")
