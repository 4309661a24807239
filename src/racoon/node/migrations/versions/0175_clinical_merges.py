"""Numbers that the hospital merged, by pseudonyms."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0175"
down_revision = "0172"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_merge",
        sa.Column("old_pseudonym", sa.String(length=64), nullable=False),
        sa.Column("surviving_pseudonym", sa.String(length=64), nullable=False),
        sa.Column("merged_at", UtcDateTime(), nullable=False),
        sa.Column("moved", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("old_pseudonym", name=op.f("pk_clinical_merge")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_merge")
