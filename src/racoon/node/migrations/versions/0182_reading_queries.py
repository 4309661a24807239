"""Queries at fields of reports: what an edit check or a monitor asks, and what the reader answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import UtcDateTime

revision = "0182"
down_revision = "0181"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_query",
        sa.Column("query_id", sa.String(length=36), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=80), nullable=False),
        sa.Column("template_url", sa.String(length=200), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("path", sa.String(length=200), nullable=False),
        sa.Column("check_key", sa.String(length=64), nullable=False),
        sa.Column("text", sa.String(length=500), nullable=False),
        sa.Column("raised_by", sa.String(length=80), nullable=False),
        sa.Column("raised_at", UtcDateTime(), nullable=False),
        sa.Column("state", sa.String(length=10), nullable=False),
        sa.Column("answer", sa.String(length=500), nullable=False),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.Column("closed_by", sa.String(length=80), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("query_id", name=op.f("pk_reading_query")),
    )
    op.create_index("ix_reading_query_report", "reading_query", ["imaging_study_uid", "reader"])


def downgrade() -> None:
    """Take back."""
    op.drop_table("reading_query")
