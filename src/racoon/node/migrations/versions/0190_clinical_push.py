"""What was sent to another FHIR server, by subject."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0190"
down_revision = "0189"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "clinical_push",
        sa.Column("target", sa.String(length=200), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("content_hash", sa.String(length=64), nullable=False),
        sa.Column("names", Json(), nullable=False),
        sa.Column("pushed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("target", "pseudonym", name=op.f("pk_clinical_push")),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("clinical_push")
