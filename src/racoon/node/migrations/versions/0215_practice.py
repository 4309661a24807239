"""Reference sets, attempts of readers at them with their cases, and who was let off."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0215"
down_revision = "0210"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "reading_reference_set",
        sa.Column("name", sa.String(60), nullable=False),
        sa.Column("kind", sa.String(12), nullable=False),
        sa.Column("template_url", sa.String(200), nullable=False),
        sa.Column("reference", sa.String(80), nullable=False),
        sa.Column("cases", Json(), nullable=False),
        sa.Column("marks", Json(), nullable=False),
        sa.Column("made_by", sa.String(80), nullable=False),
        sa.Column("made_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_reading_reference_set")),
    )
    op.create_table(
        "reading_attempt",
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("set_name", sa.String(60), nullable=False),
        sa.Column("reader", sa.String(80), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("begun_at", UtcDateTime(), nullable=False),
        sa.Column("ended_at", UtcDateTime()),
        sa.Column("score", Json()),
        sa.Column("is_passed", sa.Boolean()),
        sa.PrimaryKeyConstraint("attempt_id", name=op.f("pk_reading_attempt")),
        sa.UniqueConstraint("set_name", "reader", "number", name="uq_reading_attempt_set_name"),
    )
    op.create_table(
        "reading_attempt_case",
        sa.Column("attempt_id", sa.String(36), nullable=False),
        sa.Column("imaging_study_uid", sa.String(64), nullable=False),
        sa.Column("series_uid", sa.String(64), nullable=False),
        sa.Column("pseudonym", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("submitted_at", UtcDateTime()),
        sa.Column("response", Json()),
        sa.Column("score", Json()),
        sa.Column("is_hidden", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("attempt_id", "imaging_study_uid", name=op.f("pk_reading_attempt_case")),
    )
    op.create_table(
        "reading_waiver",
        sa.Column("set_name", sa.String(60), nullable=False),
        sa.Column("reader", sa.String(80), nullable=False),
        sa.Column("reason", sa.String(500), nullable=False),
        sa.Column("given_by", sa.String(80), nullable=False),
        sa.Column("given_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("set_name", "reader", name=op.f("pk_reading_waiver")),
    )


def downgrade() -> None:
    """Take back."""
    for name in ("reading_waiver", "reading_attempt_case", "reading_attempt", "reading_reference_set"):
        op.drop_table(name)
