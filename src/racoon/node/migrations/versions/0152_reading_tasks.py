"""Tasks of reading lists."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0152"
down_revision = "0151"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_task",
        sa.Column("list_name", sa.String(length=80), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=80), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("template_url", sa.String(length=200), nullable=False),
        sa.Column("is_blinded", sa.Boolean(), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("due_on", sa.String(length=10), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("done_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("list_name", "imaging_study_uid", "reader", name=op.f("pk_reading_task")),
    )
    with op.batch_alter_table("reading_task", schema=None) as batch_op:
        batch_op.create_index("ix_reading_task_reader", ["reader"], unique=False)


def downgrade() -> None:
    """Take back."""
    with op.batch_alter_table("reading_task", schema=None) as batch_op:
        batch_op.drop_index("ix_reading_task_reader")
    op.drop_table("reading_task")
