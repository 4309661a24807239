"""Who is on which neighbouring network's list."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0206"
down_revision = "0205"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_listed",
        sa.Column("project", sa.String(length=80), nullable=False),
        sa.Column("person", sa.String(length=80), nullable=False),
        sa.Column("visit", sa.String(length=40), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("day_number", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("project", "person", "visit", name=op.f("pk_clinical_listed")),
    )
    op.create_index(op.f("ix_clinical_listed_pseudonym"), "clinical_listed", ["pseudonym"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_listed")
