"""The scanner of a series as a fact, and who is the control of whom in a matched dataset."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0226"
down_revision = "0225"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column(
        "series_fact", sa.Column("scanner", sa.String(length=200), nullable=False, server_default="")
    )
    op.execute(
        sa.text(
            "UPDATE series_fact SET scanner = COALESCE((SELECT SUBSTR(TRIM(s.manufacturer || ' ' || s.model), 1, 200) "
            "FROM image_series s WHERE s.series_uid = series_fact.series_uid), '')"
        )
    )
    op.create_table(
        "matched_control",
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("dataset_hash", sa.String(length=64), nullable=False),
        sa.Column("control_pseudonym", sa.String(length=64), nullable=False),
        sa.Column("case_pseudonym", sa.String(length=64), nullable=False),
        sa.Column("place", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "study_id", "dataset_hash", "control_pseudonym", name=op.f("pk_matched_control")
        ),
    )
    for column in ("control_pseudonym", "case_pseudonym"):
        op.create_index(op.f(f"ix_matched_control_{column}"), "matched_control", [column])


def downgrade() -> None:
    """Take back."""
    op.drop_table("matched_control")
    op.drop_column("series_fact", "scanner")
