"""Rights to images per research study, deletions with proof, two more keys of a series search."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from racoon.platform.database import Json, UtcDateTime

revision = "0050"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "image_deletion",
        sa.Column("deletion_id", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("series_uid", sa.String(length=64), nullable=False),
        sa.Column("sop_instance_uid", sa.String(length=64), nullable=False),
        sa.Column("pseudonym", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=500), nullable=False),
        sa.Column("requested_by", sa.String(length=80), nullable=False),
        sa.Column("requested_role", sa.String(length=200), nullable=False),
        sa.Column("requested_at", UtcDateTime(), nullable=False),
        sa.Column("decided_by", sa.String(length=80), nullable=False),
        sa.Column("decided_role", sa.String(length=200), nullable=False),
        sa.Column("decided_at", UtcDateTime(), nullable=True),
        sa.Column("items", Json(), nullable=False),
        sa.Column("proof", Json(), nullable=True),
        sa.Column("proof_hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("deletion_id", name=op.f("pk_image_deletion")),
    )
    with op.batch_alter_table("image_deletion", schema=None) as batch_op:
        batch_op.create_index(batch_op.f("ix_image_deletion_state"), ["state"], unique=False)

    op.create_table(
        "image_grant",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("user_name", sa.String(length=80), nullable=False),
        sa.Column("study_id", sa.String(length=80), nullable=False),
        sa.Column("imaging_study_uid", sa.String(length=64), nullable=False),
        sa.Column("granted_by", sa.String(length=80), nullable=False),
        sa.Column("granted_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_image_grant")),
        sa.UniqueConstraint(
            "user_name",
            "imaging_study_uid",
            "study_id",
            name=op.f("uq_image_grant_user_name_imaging_study_uid_study_id"),
        ),
    )
    # Adding a column with a default copies no table, however many series there are.
    op.add_column(
        "image_series", sa.Column("performed_date", sa.String(length=8), nullable=False, server_default="")
    )
    op.add_column(
        "image_series", sa.Column("performed_time", sa.String(length=16), nullable=False, server_default="")
    )
    op.create_index(
        "ix_image_series_modality_study_id", "image_series", ["modality", "study_id"], unique=False
    )


def downgrade() -> None:
    """Take back."""
    op.drop_index("ix_image_series_modality_study_id", table_name="image_series")
    with op.batch_alter_table("image_series", schema=None) as batch_op:
        batch_op.drop_column("performed_time")
        batch_op.drop_column("performed_date")

    op.drop_table("image_grant")
    with op.batch_alter_table("image_deletion", schema=None) as batch_op:
        batch_op.drop_index(batch_op.f("ix_image_deletion_state"))

    op.drop_table("image_deletion")
