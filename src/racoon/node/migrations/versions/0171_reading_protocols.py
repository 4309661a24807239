"""Reading protocols, and which one a task was made from."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0171"
down_revision = "0170"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_protocol",
        sa.Column("name", sa.String(length=60), nullable=False),
        sa.Column("version", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("document", Json(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("made_by", sa.String(length=80), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name=op.f("pk_reading_protocol")),
    )
    with op.batch_alter_table("reading_task", schema=None) as batch_op:
        batch_op.add_column(
            sa.Column("hides_machines", sa.Boolean(), nullable=False, server_default=sa.false())
        )
        batch_op.add_column(sa.Column("protocol", sa.String(length=80), nullable=False, server_default=""))


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reading_task", schema=None) as batch_op:
        batch_op.drop_column("protocol")
        batch_op.drop_column("hides_machines")
    op.drop_table("reading_protocol")
