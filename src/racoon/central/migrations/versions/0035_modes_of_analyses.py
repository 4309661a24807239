"""How the answers of an analysis come together, and how many subjects each site has frozen."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json

revision = "0035"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("analysis", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("mode", sa.String(length=20), nullable=False, server_default="federated")
        )
        batch_op.add_column(sa.Column("subjects", Json(), nullable=True))


def downgrade() -> None:
    """Undo."""
    with op.batch_alter_table("analysis", schema=None) as batch_op:
        batch_op.drop_column("subjects")
        batch_op.drop_column("mode")
