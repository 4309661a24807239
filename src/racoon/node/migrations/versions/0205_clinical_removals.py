"""What was taken out because the clinic deleted it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0205"
down_revision = "0201"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_removal",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=80), nullable=False),
        sa.Column("kind", sa.String(length=40), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=20), nullable=False),
        sa.Column("removed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_clinical_removal")),
    )
    for name in ("key", "pseudonym"):
        op.create_index(op.f(f"ix_clinical_removal_{name}"), "clinical_removal", [name])


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_removal")
