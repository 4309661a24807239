"""Whether whoever decides between two readings learns whose they are."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0184"
down_revision = "0183"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("reading_task") as batch:
        batch.add_column(sa.Column("hides_names", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reading_task") as batch:
        batch.drop_column("hides_names")
