"""A second factor of accounts, and sessions that wait for its code."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json

revision = "0154"
down_revision = "0153"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("second_factor", sa.String(length=64), nullable=False, server_default="")
        )
        batch_op.add_column(sa.Column("last_code_step", sa.BigInteger(), nullable=False, server_default="0"))
        batch_op.add_column(sa.Column("recovery_hashes", Json(), nullable=False, server_default="[]"))
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("awaits_code", sa.Boolean(), nullable=False, server_default=sa.text("false"))
        )


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("session", schema=None) as batch_op:
        batch_op.drop_column("awaits_code")
    with op.batch_alter_table("account", schema=None) as batch_op:
        batch_op.drop_column("recovery_hashes")
        batch_op.drop_column("last_code_step")
        batch_op.drop_column("second_factor")
