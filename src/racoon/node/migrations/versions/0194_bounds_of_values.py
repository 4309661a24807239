"""Whether a laboratory value is a bound."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0194"
down_revision = "0193"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    # Adding a column with a default copies no table, however many values there are.
    op.add_column(
        "clinical_observation",
        sa.Column("value_comparator", sa.String(length=2), nullable=False, server_default=""),
    )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("clinical_observation", schema=None) as batch_op:
        batch_op.drop_column("value_comparator")
