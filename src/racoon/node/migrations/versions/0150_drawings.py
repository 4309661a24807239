"""Drawings of readers: masks that are not finished yet."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0150"
down_revision = "0130"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_drawing",
        sa.Column("drawing_id", sa.String(length=36), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("author", sa.String(length=80), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("segments", Json(), nullable=False),
        sa.Column("finished", Json(), nullable=False),
        sa.Column("finished_revision", sa.Integer(), nullable=False),
        sa.Column("changed_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("drawing_id", name=op.f("pk_reading_drawing")),
        sa.UniqueConstraint("series_uid", "author", name="uq_reading_drawing_series_uid"),
    )
    op.create_table(
        "reading_drawing_slice",
        sa.Column("drawing_id", sa.String(length=36), nullable=False),
        sa.Column("segment", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("frame", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("runs", Json(), nullable=False),
        sa.Column("voxels", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "drawing_id", "segment", "sop_instance_uid", "frame", name=op.f("pk_reading_drawing_slice")
        ),
    )


def downgrade() -> None:
    """Take back."""
    op.drop_table("reading_drawing_slice")
    op.drop_table("reading_drawing")
