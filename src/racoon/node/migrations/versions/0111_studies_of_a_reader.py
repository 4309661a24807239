"""An index to find the research studies of a reader without a look at each of his images."""

from __future__ import annotations

from alembic import op

revision = "0111"
down_revision = "0110"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_index(
        "ix_image_grant_user_name_study_id", "image_grant", ["user_name", "study_id"], unique=False
    )


def downgrade() -> None:
    """Undo."""
    op.drop_index("ix_image_grant_user_name_study_id", table_name="image_grant")
