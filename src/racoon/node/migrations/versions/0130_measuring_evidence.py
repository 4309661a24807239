"""Where a value was taken; questions to who drew a mask."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0130"
down_revision = "0121"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False)


def upgrade() -> None:
    """Apply."""
    op.add_column("measurement", sa.Column("evidence", Json(), nullable=True))
    op.create_table(
        "measuring_query",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        _text("study_id", 80),
        _text("dataset_hash", 64),
        _text("series_uid", 64),
        _text("pseudonym", 64),
        sa.Column("check_id", sa.Integer(), nullable=False),
        _text("asked_of", 200),
        _text("question", 500),
        _text("asked_by", 200),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        _text("answer", 500),
        _text("answered_by", 200),
        sa.Column("answered_at", UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_measuring_query")),
    )
    op.create_table(
        "network_reference",
        _text("study_id", 80),
        _text("measurement", 300),
        sa.Column("sites", sa.Integer(), nullable=False),
        sa.Column("subjects", sa.Integer(), nullable=False),
        sa.Column("mean", sa.Double(), nullable=False),
        sa.Column("sd", sa.Double(), nullable=False),
        sa.Column("received_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("study_id", "measurement", name=op.f("pk_network_reference")),
    )


def downgrade() -> None:
    """Undo."""
    op.drop_table("network_reference")
    op.drop_table("measuring_query")
    op.drop_column("measurement", "evidence")
