"""A clinical fact's key is its resource's: an index on the resource's key only cost writes."""

from __future__ import annotations

from alembic import op

revision = "0275"
down_revision = "0265"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.drop_index(op.f("ix_clinical_fact_resource_key"), table_name="clinical_fact")


def downgrade() -> None:
    """Take back."""
    op.create_index(op.f("ix_clinical_fact_resource_key"), "clinical_fact", ["resource_key"])
